"""A SIMULATED chat server: real HTTP and OpenAI's protocol, but no model, and faults on demand.

What it "knows" is the evidence in a prompt: it prefers the interests named there, in their order, then the
options by a hash of the prompt. Tests run it in a thread, benchmarks as a process of its own, by `main`.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

MODEL = "simulated"
_LABELLED = re.compile(r"^([A-Za-z0-9]|\d+)\. (.+)$", re.MULTILINE)
_LISTED = re.compile(r"choose from:\n((?:.+\n?)+)")
_EVIDENCE = re.compile(r"recently[^:]*: (.*?) ;")


@dataclass
class Behaviour:
    """What the server can do, and what goes wrong.

    Attributes:
        logprobs: alternatives that it gives; 0 = it ignores the wish in silence.
        schema: whether it keeps to a schema; otherwise it ignores it and writes labels as text.
        decision: whether it has `/systemone`.
        limit: the only name of the most tokens that it accepts.
        system: whether it accepts system messages.
        counts: whether it tells tokens.
        key: that it wants; '' = none.
        slots, latency: answers made at once, and seconds for each.
        dies_after, hangs_after, spent_after, long_after: chat requests after which it closes every connection
            unanswered, keeps silent, says that the balance is exhausted, or asks to wait an hour; -1 = never.
        busy_every: each so manieth chat request is refused with 429 and `Retry-After`; 0 = none.
        refuses: share of prompts that it refuses for good (400).
        invalid: share of prompts that it answers with names that do not exist; `mends`: only the first time.
    """

    logprobs: int = 20
    schema: bool = True
    decision: bool = False
    limit: str = "max_tokens"
    system: bool = True
    counts: bool = True
    key: str = ""
    slots: int = 64
    latency: float = 0.0
    dies_after: int = -1
    hangs_after: int = -1
    spent_after: int = -1
    long_after: int = -1
    busy_every: int = 0
    refuses: float = 0.0
    invalid: float = 0.0
    mends: bool = False


@dataclass
class Simulated:
    """A running server.

    Attributes:
        endpoint: base URL.
        behaviour: may be changed while it runs.
        answered: how often each request body was answered with 200, by its text; `chats` counts all.
        seen: headers and bodies of chat requests, in order, if `remembers`.
        at: times when they came.
    """

    behaviour: Behaviour
    endpoint: str = ""
    answered: Counter[str] = field(default_factory=Counter)
    chats: int = 0
    remembers: bool = True
    seen: list[tuple[dict[str, str], dict[str, Any]]] = field(default_factory=list)
    at: list[float] = field(default_factory=list)

    def twice(self) -> int:
        """Requests that were answered more than once."""
        return sum(count - 1 for count in self.answered.values())


@contextmanager
def serving(behaviour: Behaviour | None = None, port: int = 0) -> Iterator[Simulated]:
    """A SIMULATED server at a port of this machine, a free one by default."""
    simulated = Simulated(behaviour or Behaviour())
    lock, slots = threading.Lock(), threading.BoundedSemaphore(simulated.behaviour.slots)
    stopping = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True
        wbufsize = -1  # header and body in one packet

        def do_GET(self) -> None:
            if self.path == "/v1/models":
                return self.send(200, {"data": [{"id": MODEL, "max_model_len": 8192}]})
            if self.path == "/asked":
                found = {"chats": simulated.chats, "twice": simulated.twice()}
                return self.send(200, {**found, "answered": sum(simulated.answered.values())})
            return self.send(404, {"error": {"message": "no such path"}})

        def do_POST(self) -> None:
            text = self.rfile.read(int(self.headers["Content-Length"]))
            body, how = json.loads(text), simulated.behaviour
            if self.path == "/v1/behaviour":
                simulated.behaviour = Behaviour(**{**asdict(how), **body})
                return self.send(200, {})
            if how.key and self.headers.get("Authorization") != f"Bearer {how.key}":
                wrong = self.headers.get("Authorization", "none")
                return self.send(401, {"error": {"message": f"Incorrect API key provided: {wrong}"}})
            if self.path == "/v1/systemone" and how.decision:
                return self.send(200, decided(body))
            if self.path != "/v1/chat/completions":
                return self.send(404, {"error": {"message": "no such path"}})
            with lock:
                number = simulated.chats
                simulated.chats += 1
                if simulated.remembers:
                    simulated.seen.append((dict(self.headers), body))
                    simulated.at.append(time.monotonic())
            if 0 <= how.dies_after <= number:
                self.close_connection = True
                return None
            if 0 <= how.hangs_after <= number:
                stopping.wait(600)
                self.close_connection = True
                return None
            refused = refusal(body, how, number)
            if refused is not None:
                status, content, headers = refused
                return self.send(status, content, headers)
            with slots:
                if how.latency:
                    time.sleep(how.latency)
                answer = completion(body, how)
            name = hashlib.blake2b(text, digest_size=16).hexdigest()
            with lock:
                simulated.answered[name] += 1
            return self.send(200, answer)

        def send(self, status: int, content: Any, headers: dict[str, str] | None = None) -> None:
            body = json.dumps(content).encode()
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            try:
                self.wfile.write(body)
                self.wfile.flush()
            except OSError:  # who asked did not wait
                self.close_connection = True

        def log_message(self, *_: object) -> None:
            """Quiet."""

    class Server(ThreadingHTTPServer):
        request_queue_size = 256
        daemon_threads = True

    http = Server(("127.0.0.1", port), Handler)
    simulated.endpoint = f"http://127.0.0.1:{http.server_address[1]}/v1"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield simulated
    finally:
        stopping.set()
        http.shutdown()
        thread.join()
        http.server_close()


def refusal(
    body: dict[str, Any], how: Behaviour, number: int
) -> tuple[int, dict[str, Any], dict[str, str]] | None:
    """Status, content and headers of a refusal, None where the request is answered."""

    def told(message: str, code: str = "") -> dict[str, Any]:
        return {"error": {"message": message, "code": code}}

    if body.get("model") != MODEL:
        return 404, told(f"The model {body.get('model')!r} does not exist"), {}
    if how.limit not in body:
        return 400, told(f"Unsupported parameter: use '{how.limit}' instead"), {}
    if not how.system and body["messages"][0]["role"] == "system":
        return 400, told("System role not supported"), {}
    if 0 <= how.spent_after <= number:
        return 429, told("You exceeded your current quota", "insufficient_quota"), {}
    if 0 <= how.long_after <= number:
        return 429, told("Rate limit reached for requests per day"), {"Retry-After": "3600"}
    if how.busy_every and number % how.busy_every == how.busy_every - 1:
        return 429, told("Rate limit reached", "rate_limit_exceeded"), {"Retry-After": "0.2"}
    if chance(body, "refused") < how.refuses:
        return 400, told("This prompt can't be answered"), {}
    return None


def completion(body: dict[str, Any], how: Behaviour) -> dict[str, Any]:
    """The answer to a chat request."""
    schema = body.get("response_format", {}).get("json_schema", {}).get("schema") if how.schema else None
    labels, names = ranked(body)
    again = "An earlier answer was not valid" in body["messages"][-1]["content"]
    invalid = chance(body, "invalid") < how.invalid and not (how.mends and again)
    most = int(body[how.limit])
    if schema is not None:
        best = schema["properties"]["best"]
        allowed = [label for label in labels if label in best["items"]["enum"]] or best["items"]["enum"]
        text = json.dumps({"best": allowed[: best["maxItems"]]})
    elif most == 1:
        text = labels[0] if labels else "Hm"
    else:
        text = "\n".join(names[:5]) if names else "Paris"
    if invalid:
        text = "Unheard of Things\nAnd Others"
    choice: dict[str, Any] = {"index": 0, "message": {"role": "assistant", "content": text}}
    choice["finish_reason"] = "stop"
    if body.get("logprobs") and how.logprobs:
        count = min(how.logprobs, body["top_logprobs"])
        tokens = ["?", "!"] if invalid or not labels else [*labels, "The", " ", "I"]
        given = [
            {"token": token, "logprob": math.log(0.6) + place * math.log(0.4)}
            for place, token in enumerate(tokens[:count])
        ]
        choice["logprobs"] = {"content": [{"token": tokens[0], "top_logprobs": given}]}
    answer: dict[str, Any] = {"object": "chat.completion", "model": MODEL, "choices": [choice]}
    if how.counts:
        read = sum(len(message["content"]) for message in body["messages"]) // 4
        written = min(most, max(len(text) // 4, 1))
        answer["usage"] = {"prompt_tokens": read, "completion_tokens": written}
    return answer


def decided(body: dict[str, Any]) -> dict[str, Any]:
    """The answer to a decision: options by a hash of what is asked."""
    options = list(body["questions"]["next"]["criteria"])
    order = sorted(options, key=lambda name: hashlib.sha256((body["state"] + name).encode()).digest())
    share = {name: 2.0 ** -(place + 1) for place, name in enumerate(order)}
    share[order[-1]] += 1 - sum(share.values())
    answer = {"type": "choice", "choice": order[0], "confidence": 0.5, "probabilities": share}
    return {"model": MODEL, "answers": {"next": answer}, "usage": {"input_tokens": 50, "output_tokens": 0}}


def ranked(body: dict[str, Any]) -> tuple[list[str], list[str]]:
    """Labels and names of the options of a prompt, best first; labels are empty where there are none."""
    text = "\n".join(message["content"] for message in body["messages"])
    listed = _LISTED.search(text)
    lines = listed.group(1).strip().split("\n") if listed else []
    found = [match.groups() for line in lines if (match := _LABELLED.match(line))]
    options = {name: label for label, name in found} or {line: "" for line in lines if line.strip()}
    said = _EVIDENCE.search(text)
    named = [part.partition(" ")[2] for part in said.group(1).split(" , ")] if said else []
    first = [name for name in named if name in options]
    user = body["messages"][-1]["content"].partition("\n\n")[0]

    def drawn(name: str) -> bytes:
        return hashlib.sha256(f"{user}\0{name}".encode()).digest()

    names = [*first, *sorted((name for name in options if name not in first), key=drawn)]
    return [options[name] for name in names if options[name]], names


def chance(body: dict[str, Any], salt: str) -> float:
    """A number from 0 to 1 that follows from the first lines of the last message."""
    user = body["messages"][-1]["content"].partition("\n\n")[0]
    return int.from_bytes(hashlib.sha256(f"{salt}{user}".encode()).digest()[:4], "big") / 2**32


def main() -> None:
    """Serve until standard input ends; the address is the first line of the output."""
    with serving(Behaviour(**json.loads(sys.argv[1] if len(sys.argv) > 1 else "{}"))) as served:
        served.remembers = False
        print(served.endpoint, flush=True)
        sys.stdin.read()  # until whoever started it is through


if __name__ == "__main__":
    main()
