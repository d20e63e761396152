"""How fast the planner of `kind = "openai"` asks, beside what its server can do, and what faults do to it.

The server is SIMULATED (`simulated_chat.py`, a process of its own): OpenAI's protocol over real HTTP, no
model. With `--endpoint` and `--model` it is a real one instead, and only the first part is measured.

- `planner_per_s`, `planner_tokens_per_s`: contexts and tokens a second through the planner, answers stored.
- `limit_per_s`, `limit_tokens_per_s`: the same request bodies, sent by as many bare threads that parse and
  keep nothing: the server's own limit here. Rounds of both are interleaved; figures are medians.
- `overhead`: by how much more time the planner takes than that, as a share; `overhead_low`, `overhead_high`:
  of the pairs of rounds, the quartiles.
- `cpu_ms`, `bare_cpu_ms`: milliseconds of this process's CPU for a prompt, of planner and bare threads.
- `faults`: for each fault what became of the prompts: `answered`, `failed`, `not_asked` (their rows go by
  counts), `invented` (answers that are no interest that there was to choose), and, once the fault is over and
  the same is asked again, `asked_twice` (requests answered more than once; a row of faults has 0) and
  `answered_after`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any
from urllib.parse import urlsplit

import numpy as np

import simulated_chat
from freshet.backends import http_json
from freshet.backends.planners.endpoint.chat_wire import body_of
from freshet.backends.planners.endpoint.endpoint_planner import EndpointPlanner
from freshet.backends.planners.endpoint.endpoint_tuner import EndpointSettings, EndpointTuner
from freshet.backends.planners.endpoint.spending import Spending
from freshet.core.errors import PlannerGone
from freshet.core.ports import Budget, TuningJob
from freshet.core.prompts import render
from freshet.core.types import Interests, Prompt
from simulated_chat import Behaviour

INTERESTS = 24
CONCURRENCY = 16
SIMULATED = {"slots": 8, "latency": 0.02}
"""Eight answers at once, 20 ms each: 400 a second at most."""

FAULTS: dict[str, dict[str, Any]] = {
    "dies": {"dies_after": 0.4},
    "hangs": {"hangs_after": 0.4},
    "429 with Retry-After": {"busy_every": 5},
    "half of the prompts refused": {"refuses": 0.5},
    "invalid names": {"logprobs": 0, "schema": False, "invalid": 0.3},
    "invalid names, mended when asked again": {"logprobs": 0, "schema": False, "invalid": 0.3, "mends": True},
    "balance exhausted": {"spent_after": 0.4},
    "daily limit": {"long_after": 0.4},
}
"""What goes wrong; a fraction of requests stands for so many of them."""


def interests() -> Interests:
    """Interests of two words each."""
    first = ("old", "dark", "quiet", "wild", "small", "northern")
    second = ("houses", "gardens", "ships", "mountains")
    names = tuple(f"{a} {b}" for a in first for b in second)[:INTERESTS]
    return Interests(np.arange(len(names), dtype=np.int32), names, np.eye(len(names), dtype=np.float32))


def prompts(known: Interests, count: int, seed: int) -> list[Prompt]:
    """Different prompts: contexts of up to four interests."""
    rng = np.random.default_rng(seed)
    found: dict[str, Prompt] = {}
    while len(found) < count:
        context = tuple(rng.choice(len(known), 4, replace=False).tolist())
        text = render(context, known.descriptions)
        found[text] = Prompt(context, text)
    return list(found.values())


def planner(endpoint: str, model: str, folder: Path, known: Interests, **changes: Any) -> EndpointPlanner:
    """A planner on what a probe of the server finds, its answers kept in a new folder."""
    settings = EndpointSettings(endpoint, model, concurrency=CONCURRENCY, **{"timeout": 60.0, **changes})
    tuner = EndpointTuner(settings, folder, Spending())
    tuner.tune(TuningJob(known, [], [], "description", 0.0, 0.0, 0, 0, Budget(), 0), folder / "model")
    return tuner.open(folder / "model", known)


def bare(endpoint: str, bodies: list[bytes]) -> tuple[float, float]:
    """Seconds, and CPU seconds of this process, in which bare threads get all bodies answered."""
    parts = urlsplit(endpoint)
    waiting: SimpleQueue[bytes] = SimpleQueue()
    for body in bodies:
        waiting.put(body)

    def send() -> None:
        connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80)
        while True:
            try:
                body = waiting.get_nowait()
            except Empty:
                break
            headers = {"Content-Type": "application/json"}
            connection.request("POST", f"{parts.path}/chat/completions", body, headers)
            answer = connection.getresponse()
            answer.read()
            assert answer.status == 200, answer.status
        connection.close()

    start, cpu = time.perf_counter(), time.process_time()
    threads = [threading.Thread(target=send) for _ in range(CONCURRENCY)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return time.perf_counter() - start, time.process_time() - cpu


@contextmanager
def served() -> Iterator[str]:
    """A SIMULATED server in a process of its own."""
    code = "import simulated_chat; simulated_chat.main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, json.dumps(SIMULATED)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parent,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.stdin.close()
        process.wait()
        process.stdout.close()


def speed(endpoint: str, model: str, scratch: Path, count: int, rounds: int) -> dict[str, Any]:
    """The planner against bare threads, in turns."""
    known = interests()
    pairs: list[tuple[float, float]] = []
    cpu: list[tuple[float, float]] = []
    tokens = 0
    for number in range(rounds + 1):  # the first warms both up
        one = planner(endpoint, model, scratch / str(number), known)
        asked = prompts(known, count, number)
        bodies = [
            json.dumps(body_of(one._form.request(prompt), model, one.card.dialect)).encode()
            for prompt in asked
        ]

        def through_planner(
            one: EndpointPlanner = one, asked: list[Prompt] = asked
        ) -> tuple[float, float, int]:
            start, spent = time.perf_counter(), time.process_time()
            ranking = one.rank(asked, INTERESTS)
            assert not ranking.failures, ranking.failures[0]
            return time.perf_counter() - start, time.process_time() - spent, ranking.usage.tokens

        if number % 2:
            limit, limit_cpu = bare(endpoint, bodies)
            taken, taken_cpu, tokens = through_planner()
        else:
            taken, taken_cpu, tokens = through_planner()
            limit, limit_cpu = bare(endpoint, bodies)
        if number:
            pairs.append((taken, limit))
            cpu.append((taken_cpu, limit_cpu))
    over = sorted(taken / limit - 1 for taken, limit in pairs)
    taken, limit = (statistics.median(column) for column in zip(*pairs, strict=True))
    return {
        "prompts": count,
        "rounds": rounds,
        "concurrency": CONCURRENCY,
        "form": one.card.form,
        "planner_per_s": round(count / taken, 1),
        "limit_per_s": round(count / limit, 1),
        "planner_tokens_per_s": round(tokens / taken),
        "limit_tokens_per_s": round(tokens / limit),
        "overhead": round(statistics.median(over), 4),
        "overhead_low": round(over[len(over) // 4], 4),
        "overhead_high": round(over[-1 - len(over) // 4], 4),
        "cpu_ms": round(1e3 * statistics.median(a for a, _ in cpu) / count, 3),
        "bare_cpu_ms": round(1e3 * statistics.median(b for _, b in cpu) / count, 3),
    }


def faulty(name: str, scratch: Path, count: int) -> dict[str, Any]:
    """What a fault does to prompts, and what is left when it is over."""
    known = interests()
    given = FAULTS[name]
    still = {key: value for key, value in given.items() if key in ("logprobs", "schema")}
    with simulated_chat.serving(Behaviour(**still)) as server:
        one = planner(
            server.endpoint, simulated_chat.MODEL, scratch, known, timeout=1.0 if name == "hangs" else 60.0
        )
        server.answered.clear()
        asked, begun = prompts(known, count, 7), server.chats
        counted = {
            key: begun + round(value * count) if key.endswith("_after") else value
            for key, value in given.items()
        }
        server.behaviour = Behaviour(**counted)
        start = time.perf_counter()
        try:
            ranking = one.rank(asked, INTERESTS)
            answered = (ranking.successors >= 0).any(axis=1)
            failed, invalid, gone = len(ranking.failures), ranking.usage.invalid, ranking.gone
            invented = int((ranking.successors[ranking.successors >= 0] >= INTERESTS).sum())
        except PlannerGone as error:
            answered, failed, invalid, gone, invented = np.zeros(count, bool), 0, 0, str(error), 0
        seconds = time.perf_counter() - start
        server.behaviour = replace(Behaviour(), **still)
        again = planner(
            server.endpoint, simulated_chat.MODEL, scratch, known, timeout=1.0 if name == "hangs" else 60.0
        )
        server.answered.update({"": 0})
        probing = server.twice()
        after = again.rank(asked, INTERESTS)
        twice = server.twice() - probing
    return {
        "prompts": count,
        "answered": int(answered.sum()),
        "failed": failed,
        "not_asked": count - int(answered.sum()) - failed,
        "share_by_counts": round(1 - float(answered.mean()), 3),
        "invalid_answers": invalid,
        "invented": invented,
        "gone": gone.replace(server.endpoint, "http://..."),
        "seconds": round(seconds, 2),
        "asked_twice": twice,
        "answered_after": int((after.successors >= 0).any(axis=1).sum()),
    }


def main() -> None:
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--quick", action="store_true", help="few prompts: whether it runs, not how fast")
    options.add_argument("--json", action="store_true")
    options.add_argument("--endpoint", default="", help="of a real server, such as http://localhost:8000/v1")
    options.add_argument("--model", default="", help="what it calls its model")
    options.add_argument("--prompts", type=int, default=2000, help="of each round")
    given = options.parse_args()
    count, rounds = (60, 2) if given.quick else (given.prompts, 8)
    found: dict[str, Any] = {"simulated": not given.endpoint}
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        if given.endpoint:
            found["speed"] = speed(given.endpoint, given.model, scratch / "speed", count, rounds)
        else:
            with served() as endpoint:
                found["speed"] = speed(endpoint, simulated_chat.MODEL, scratch / "speed", count, rounds)
                with urllib.request.urlopen(endpoint.removesuffix("/v1") + "/asked") as answer:
                    found["server"] = json.load(answer)
            http_json.FIRST_WAIT = 0.05  # faults are put right at once here
            found["faults"] = {
                name: faulty(name, scratch / str(place), 60 if given.quick else 400)
                for place, name in enumerate(FAULTS)
            }
    if given.json:
        print(json.dumps(found, indent=1))
        return
    print("SIMULATED server" if found["simulated"] else given.endpoint)
    for key, value in found["speed"].items():
        print(f"  {key:22} {value}")
    for name, one in found.get("faults", {}).items():
        print(f"  {name}: {one}")


if __name__ == "__main__":
    main()
