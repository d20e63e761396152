"""SIMULATED servers of three batch protocols and of hosted fine-tuning, written for tests: no model answers.

They speak HTTP as OpenAI, Anthropic and Gemini document it: files, batches, results, jobs. An answer is drawn
from a hash of the question, among what the schema allows. Faults that real servers have can be ordered.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "sk-simulated-secret"

Body = dict[str, Any]


@dataclass
class Provider:
    """A running server of all protocols, under `/v1` (OpenAI, Anthropic) and `/v1beta` (Gemini).

    Attributes:
        address: without a path.
        files, batches, jobs: what was made, by id.
        spoil: what happens to a request when its batch ends, by its place: `ok`, `error` or `expire`.
        lost: so many of the next requests that make something are carried out, but their answer is lost.
        garbled: so many of them are carried out, and answered by something that names nothing.
        refuse: (status, body) for the next requests that make a batch or a job.
        trains: whether there are fine-tuning jobs.
        chats: model of every request that was answered at once.
        seen: method, path and headers of all requests.
    """

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    batches: dict[str, Body] = field(default_factory=dict)
    jobs: dict[str, Body] = field(default_factory=dict)
    spoil: Callable[[int], str] = lambda place: "ok"
    lost: int = 0
    garbled: int = 0
    refuse: list[tuple[int, Body]] = field(default_factory=list)
    trains: bool = True
    chats: list[str] = field(default_factory=list)
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    @property
    def asked(self) -> list[str]:
        """Name of every request in every batch, in order: each was paid for."""
        return [name for batch in self.batches.values() for name in batch["names"]]

    def end(self, status: str = "") -> None:
        """End all batches and jobs that are under way; `status` instead of the good one."""
        for batch in self.batches.values():
            if not batch["ended"]:
                batch["ended"], batch["status"] = True, status
                batch["lines"] = self._results(batch)
        for number, job in enumerate(self.jobs.values(), 1):
            if job["status"] == "running":
                good = not status
                job |= {"status": status or "succeeded", "finished_at": 1}
                job |= {
                    "fine_tuned_model": f"ft:{job['model']}:{number}" if good else None,
                    "trained_tokens": 999,
                }
                job |= {"error": None if good else {"code": "invalid_training_file", "message": "bad line 3"}}

    def _results(self, batch: Body) -> list[tuple[str, Body]]:
        """(`output` or `error`, line) in another order than that of the requests."""
        found = []
        for place, line in enumerate(batch["requests"]):
            how = "expire" if batch["status"] in ("expired", "EXPIRED") and place % 2 else self.spoil(place)
            found.append(LINES[batch["protocol"]](line, how))
        return found[::-1]


def answer_to(body: Body) -> str:
    """What the simulated model writes: JSON by the schema, or a letter."""
    text = json.dumps(body.get("messages") or body.get("contents"), sort_keys=True)
    schema = (
        body.get("response_format", {}).get("json_schema", {}).get("schema")
        or body.get("generationConfig", {}).get("responseSchema")
        or body.get("output_config", {}).get("format", {}).get("schema")
    )
    number = int(hashlib.sha256(text.encode()).hexdigest(), 16)
    if schema is None:
        return "AB"[number % 2]
    options = schema["properties"]["best"]["items"]["enum"]
    return json.dumps({"best": [options[number % len(options)]]})


def _openai(line: Body, how: str) -> tuple[str, Body]:
    name = line["custom_id"]
    if how == "expire":
        error = {
            "code": "batch_expired",
            "message": "This request could not be executed before the window ended.",
        }
        return "error", {"id": "br", "custom_id": name, "response": None, "error": error}
    if how == "error":
        body: Body = {"error": {"message": "The server had an error", "type": "server_error"}}
        return "error", {
            "id": "br",
            "custom_id": name,
            "response": {"status_code": 500, "body": body},
            "error": None,
        }
    body = {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": answer_to(line["body"])}}],
        "usage": {"prompt_tokens": 50, "completion_tokens": 5},
    }
    response = {"status_code": 200, "request_id": "r", "body": body}
    return "output", {"id": "br", "custom_id": name, "response": response, "error": None}


def _anthropic(line: Body, how: str) -> tuple[str, Body]:
    if how == "expire":
        result: Body = {"type": "expired"}
    elif how == "error":
        result = {
            "type": "errored",
            "error": {"type": "error", "error": {"type": "api_error", "message": "sorry"}},
        }
    else:
        content = [{"type": "text", "text": answer_to(line["params"])}]
        usage = {"input_tokens": 50, "output_tokens": 5}
        result = {
            "type": "succeeded",
            "message": {"content": content, "usage": usage, "stop_reason": "end_turn"},
        }
    return "output", {"custom_id": line["custom_id"], "result": result}


def _gemini(line: Body, how: str) -> tuple[str, Body]:
    if how != "ok":
        error = {"code": 4 if how == "expire" else 13, "message": how}
        return "output", {"key": line["key"], "error": error}
    parts = [{"text": answer_to(line["request"])}]
    usage = {"promptTokenCount": 50, "candidatesTokenCount": 5}
    response = {"candidates": [{"content": {"role": "model", "parts": parts}}], "usageMetadata": usage}
    return "output", {"key": line["key"], "response": response}


LINES = {"openai": _openai, "anthropic": _anthropic, "gemini": _gemini}


def text_of(batch: Body, kind: str) -> bytes:
    """A file of results of a batch."""
    return "".join(json.dumps(line) + "\n" for of, line in batch["lines"] if of == kind).encode()


class Handler(BaseHTTPRequestHandler):
    """One request; `provider` is set on the class that serves."""

    protocol_version = "HTTP/1.1"
    provider: Provider

    def do_GET(self) -> None:
        self.handled(b"")

    def do_POST(self) -> None:
        self.handled(self.rfile.read(int(self.headers.get("Content-Length") or 0)))

    def handled(self, body: bytes) -> None:
        self.provider.seen.append((self.command, self.path, dict(self.headers)))
        gemini = "beta/" in self.path
        anthropic = "/messages/" in self.path
        given = self.headers.get("Authorization", "").removeprefix("Bearer ")
        if gemini:
            given = self.headers.get("x-goog-api-key", "")
        if anthropic:
            given = self.headers.get("x-api-key", "")
        if given != KEY:
            return self.send(401, {"error": {"message": f"wrong key {given}"}})
        if anthropic and self.headers.get("anthropic-version") != "2023-06-01":
            return self.send(400, {"error": {"message": "anthropic-version: header is required"}})
        path = self.path.partition("?")[0]
        for method, pattern, act in ROUTES:
            if method == self.command and (match := re.fullmatch(pattern, path)):
                return act(self, body, *match.groups())
        return self.send(404, {"error": {"message": f"no {path}"}})

    def making(self, body: bytes, make: Callable[[], Body]) -> None:
        """Carry out a request that makes something."""
        if self.provider.refuse:
            status, content = self.provider.refuse.pop(0)
            return self.send(status, content)
        made = make()
        if self.provider.lost:
            self.provider.lost -= 1
            self.close_connection = True
            self.connection.close()
            return None
        if self.provider.garbled:
            self.provider.garbled -= 1
            return self.send(200, {"ok": True})
        return self.send(200, made)

    def send(self, status: int, content: Body | bytes, headers: dict[str, str] | None = None) -> None:
        data = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: object) -> None:
        """Quiet."""

    # OpenAI

    def openai_upload(self, body: bytes) -> None:
        edge = self.headers["Content-Type"].partition("boundary=")[2].encode()
        parts = body.split(b"--" + edge)
        [content] = [part.partition(b"\r\n\r\n")[2][:-2] for part in parts if b'name="file"' in part]
        assert b'name="purpose"' in body
        name = f"file-{len(self.provider.files) + 1}"
        self.provider.files[name] = content
        self.send(200, {"id": name, "object": "file", "bytes": len(content)})

    def openai_content(self, _: bytes, name: str) -> None:
        if name in self.provider.files:
            return self.send(200, self.provider.files[name])
        kind, _, batch = name.partition("-")
        return self.send(200, text_of(self.provider.batches[batch], kind))

    def openai_create(self, body: bytes) -> None:
        asked = json.loads(body)
        assert (asked["endpoint"], asked["completion_window"]) == ("/v1/chat/completions", "24h")
        lines = [json.loads(line) for line in self.provider.files[asked["input_file_id"]].splitlines()]
        self.making(body, lambda: self.openai_batch(self.begun("openai", lines, metadata=asked["metadata"])))

    def begun(self, protocol: str, lines: list[Body], **more: Any) -> str:
        name = f"{protocol}_batch_{len(self.provider.batches) + 1}"
        names = [line.get("custom_id") or line["key"] for line in lines]
        self.provider.batches[name] = {
            "protocol": protocol, "requests": lines, "names": names, "ended": False, "status": "", "lines": [],
            # its clock is a minute behind
            "created": (datetime.now(UTC) - timedelta(minutes=1)).isoformat(), **more
        }  # fmt: skip
        return name

    def openai_batch(self, name: str) -> Body:
        batch = self.provider.batches[name]
        kinds = [kind for kind, _ in batch["lines"]]
        failed = batch["status"] == "failed"
        found: Body = {
            "id": name,
            "object": "batch",
            "status": (batch["status"] or "completed") if batch["ended"] else "in_progress",
            "metadata": batch["metadata"],
            "request_counts": {
                "total": len(batch["requests"]),
                "completed": kinds.count("output"),
                "failed": kinds.count("error"),
            },
            "errors": {"data": [{"code": "model_not_found", "message": "The model is not there"}]}
            if failed
            else None,
        }
        for kind in () if failed else {*kinds}:
            found[f"{kind}_file_id"] = f"{kind}-{name}"
        return found

    def openai_look(self, _: bytes, name: str) -> None:
        self.send(200, self.openai_batch(name))

    def openai_list(self, _: bytes) -> None:
        names = [name for name in reversed(self.provider.batches) if name.startswith("openai")]
        after = self.path.partition("after=")[2]
        names = names[names.index(after) + 1 :] if after else names
        page = names[:2]
        self.send(200, {"data": [self.openai_batch(name) for name in page], "has_more": len(names) > 2})

    def chat(self, body: bytes) -> None:
        asked = json.loads(body)
        self.provider.chats.append(asked["model"])
        message = {"role": "assistant", "content": answer_to(asked)}
        usage = {"prompt_tokens": 50, "completion_tokens": 5}
        self.send(200, {"choices": [{"index": 0, "message": message}], "usage": usage})

    # fine-tuning

    def jobs_list(self, _: bytes) -> None:
        if not self.provider.trains:
            return self.send(404, {"error": {"message": "Invalid URL"}})
        return self.send(200, {"data": list(reversed(self.provider.jobs.values())), "has_more": False})

    def jobs_create(self, body: bytes) -> None:
        asked = json.loads(body)
        name = f"ftjob-{len(self.provider.jobs) + 1}"

        def make() -> Body:
            self.provider.jobs[name] = {
                "id": name, "object": "fine_tuning.job", "status": "running", "fine_tuned_model": None,
                "error": None, "trained_tokens": None, **asked,
            }  # fmt: skip
            return self.provider.jobs[name]

        self.making(body, make)

    def jobs_look(self, _: bytes, name: str) -> None:
        self.send(200, self.provider.jobs[name])

    # Anthropic

    def anthropic_create(self, body: bytes) -> None:
        lines = json.loads(body)["requests"]
        assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", line["custom_id"]) for line in lines)
        assert not any("temperature" in line["params"] for line in lines)
        self.making(body, lambda: self.anthropic_batch(self.begun("anthropic", lines)))

    def anthropic_batch(self, name: str) -> Body:
        batch = self.provider.batches[name]
        kinds = [line["result"]["type"] for _, line in batch["lines"]]
        counts = {kind: kinds.count(kind) for kind in ("succeeded", "errored", "canceled", "expired")}
        left = 0 if batch["ended"] else len(batch["requests"])
        return {
            "id": name,
            "type": "message_batch",
            "processing_status": "ended" if batch["ended"] else "in_progress",
            "request_counts": {"processing": left, **counts},
            "created_at": batch["created"],
            "results_url": f"https://elsewhere.example/{name}" if batch["ended"] else None,
        }

    def anthropic_look(self, _: bytes, name: str) -> None:
        self.send(200, self.anthropic_batch(name))

    def anthropic_list(self, _: bytes) -> None:
        names = [name for name in self.provider.batches if name.startswith("anthropic")]
        self.send(
            200, {"data": [self.anthropic_batch(name) for name in names], "has_more": False, "last_id": "x"}
        )

    def anthropic_results(self, _: bytes, name: str) -> None:
        self.send(200, text_of(self.provider.batches[name], "output"))

    # Gemini

    def gemini_start(self, body: bytes) -> None:
        assert self.headers["X-Goog-Upload-Command"] == "start"
        assert json.loads(body)["file"]["displayName"]
        self.send(200, {}, {"X-Goog-Upload-URL": f"{self.provider.address}/upload/v1beta/files/bytes"})

    def gemini_bytes(self, body: bytes) -> None:
        assert self.headers["X-Goog-Upload-Command"] == "upload, finalize"
        name = f"files/g{len(self.provider.files) + 1}"
        self.provider.files[name] = body
        self.send(200, {"file": {"name": name, "state": "ACTIVE"}})

    def gemini_create(self, body: bytes, model: str) -> None:
        asked = json.loads(body)["batch"]
        assert model
        lines = [
            json.loads(line) for line in self.provider.files[asked["inputConfig"]["fileName"]].splitlines()
        ]
        self.making(body, lambda: self.gemini_batch(self.begun("gemini", lines, called=asked["displayName"])))

    def gemini_batch(self, name: str) -> Body:
        batch = self.provider.batches[name]
        state = (batch["status"] or "SUCCEEDED") if batch["ended"] else "RUNNING"
        good = [line for _, line in batch["lines"] if "response" in line]
        found: Body = {
            "name": f"batches/{name}",
            "metadata": {
                "displayName": batch["called"],
                "state": f"BATCH_STATE_{state}",
                "batchStats": {
                    "requestCount": str(len(batch["requests"])),
                    "successfulRequestCount": str(len(good)),
                },
            },
        }
        if batch["ended"]:
            found["done"] = True
        if state == "SUCCEEDED":
            found["response"] = {"responsesFile": f"files/{name}"}
        return found

    def gemini_look(self, _: bytes, name: str) -> None:
        self.send(200, self.gemini_batch(name))

    def gemini_list(self, _: bytes) -> None:
        names = [name for name in self.provider.batches if name.startswith("gemini")]
        self.send(200, {"operations": [self.gemini_batch(name) for name in names]})

    def gemini_download(self, _: bytes, name: str) -> None:
        assert self.path.endswith("?alt=media")
        self.send(200, text_of(self.provider.batches[name], "output"))


ROUTES: list[tuple[str, str, Callable[..., None]]] = [
    ("POST", "/v1/chat/completions", Handler.chat),
    ("POST", "/v1/files", Handler.openai_upload),
    ("GET", "/v1/files/(.+)/content", Handler.openai_content),
    ("POST", "/v1/batches", Handler.openai_create),
    ("GET", "/v1/batches", Handler.openai_list),
    ("GET", "/v1/batches/(.+)", Handler.openai_look),
    ("GET", "/v1/fine_tuning/jobs", Handler.jobs_list),
    ("POST", "/v1/fine_tuning/jobs", Handler.jobs_create),
    ("GET", "/v1/fine_tuning/jobs/(.+)", Handler.jobs_look),
    ("POST", "/v1/messages/batches", Handler.anthropic_create),
    ("GET", "/v1/messages/batches", Handler.anthropic_list),
    ("GET", "/v1/messages/batches/(.+)/results", Handler.anthropic_results),
    ("GET", "/v1/messages/batches/(.+)", Handler.anthropic_look),
    ("POST", "/upload/v1beta/files", Handler.gemini_start),
    ("POST", "/upload/v1beta/files/bytes", Handler.gemini_bytes),
    ("POST", "/v1beta/models/(.+):batchGenerateContent", Handler.gemini_create),
    ("GET", "/v1beta/batches", Handler.gemini_list),
    ("GET", "/v1beta/batches/(.+)", Handler.gemini_look),
    ("GET", "/download/v1beta/files/(.+):download", Handler.gemini_download),
]


@contextmanager
def provider_server() -> Iterator[Provider]:
    """A SIMULATED provider at a free port of this machine."""
    provider = Provider()
    http = ThreadingHTTPServer(("127.0.0.1", 0), type("Served", (Handler,), {"provider": provider}))
    http.daemon_threads = True
    provider.address = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield provider
    finally:
        http.shutdown()
        thread.join()
        http.server_close()
