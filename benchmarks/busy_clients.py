"""Clients of two servers on one workspace: they send events and ask for recommendations, whoever is killed.

They run in a process of their own, and note what happened as lines of JSON in a file:

    ["ack", [7, 9]]              a server said that these events are written
    ["retired", "live7"]         nothing more will be sent for this user, and nothing is under way
    ["unanswered", "why"]        neither server answered a question within PATIENCE
    ["wrong", "what"]            an answer that should not be
    ["sum", {"answered": ...}]   counts, at the end
"""

from __future__ import annotations

import json
import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

SENDERS, ASKERS, BATCH, USERS, ITEMS = 2, 2, 4, 301, 50
START = int(datetime(2024, 2, 20, tzinfo=UTC).timestamp())
"""When the first event happens: around the end of the world's log."""
STEP = 20
"""Seconds of the world between two events."""
PATIENCE, ONE_TRY = 20.0, 8.0
"""Seconds within which a question must be answered, by whichever server, and within which one has to."""
PAUSE = 0.2
"""Seconds between two batches, and two questions, of one client."""


def event(number: int) -> dict[str, Any]:
    """The n-th event; its time is its own, so that it is known by (user, item, time) too."""
    made = {"user": user_of(number), "item": f"item{number % ITEMS:05d}", "value": 9.0}
    return made | {"time": START + number * STEP, "id": "" if number % 3 == 0 else f"e{number}"}


def user_of(number: int) -> str:
    return f"live{number % USERS}"


def number_of(microseconds: int) -> int:
    """Which event has this time."""
    return round((microseconds / 1_000_000 - START) / STEP)


@dataclass
class Notes:
    """The file that clients write, line by line."""

    path: Path
    lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, what: str, told: Any) -> None:
        with self.lock, self.path.open("a", encoding="utf-8") as file:
            file.write(json.dumps([what, told]) + "\n")


@dataclass
class Told:
    """What is known from the notes so far."""

    acknowledged: set[int] = field(default_factory=set)
    retired: set[str] = field(default_factory=set)
    unanswered: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)
    sums: dict[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, path: Path, end: int | None = None) -> Told:
        """By the first `end` bytes; None = all."""
        found = cls()
        for line in path.read_bytes()[:end].decode().splitlines():
            what, told = json.loads(line)
            if what == "ack":
                found.acknowledged.update(told)
            elif what == "retired":
                found.retired.add(told)
            elif what == "sum":
                found.sums = told
            else:
                (found.unanswered if what == "unanswered" else found.wrong).append(told)
        return found


class Crowd:
    """All clients.

    Args:
        urls: of the two servers.
        seed: of who asks for whom.
    """

    def __init__(self, urls: Sequence[str], notes: Path, seed: int) -> None:
        self.urls = urls
        self.notes = Notes(notes)
        self.seed = seed
        self.stopped = threading.Event()
        self.retired: set[str] = set()
        self.counts: Counter[str] = Counter()
        self.locks = [threading.Lock() for _ in range(SENDERS)]
        self.pending: list[list[int]] = [[] for _ in range(SENDERS)]

    def run(self, orders: int) -> int:
        """Until SIGTERM.

        Args:
            orders: handle of a pipe with users to retire, one a line.
        """
        signal.signal(signal.SIGTERM, lambda *_: self.stopped.set())
        threads = [threading.Thread(target=self._send, args=(one,)) for one in range(SENDERS)]
        threads += [threading.Thread(target=self._ask, args=(one,)) for one in range(ASKERS)]
        threading.Thread(target=self._obey, args=(orders,), daemon=True).start()
        for thread in threads:
            thread.start()
        while not self.stopped.wait(0.5):
            pass
        for thread in threads:
            thread.join()
        self.notes.add("sum", self.counts | {"pending": sum(map(len, self.pending))})
        return 0

    def _obey(self, orders: int) -> None:
        with os.fdopen(orders, encoding="utf-8") as lines:
            for line in lines:
                user = line.strip()
                self.retired.add(user)
                for lock, pending in zip(self.locks, self.pending, strict=True):
                    with lock:  # nothing of theirs is under way then
                        pending[:] = [number for number in pending if user_of(number) != user]
                self.notes.add("retired", user)

    def _send(self, client: int) -> None:
        """Batch after batch; one that was not answered is sent again, to the other server."""
        pending, sent, again, turn = self.pending[client], 0, False, client
        with httpx.Client(timeout=ONE_TRY) as http:
            while not self.stopped.is_set():
                with self.locks[client]:
                    if not pending:
                        again = False
                    while len(pending) < BATCH and not again:
                        number, sent = sent * SENDERS + client, sent + 1
                        if user_of(number) not in self.retired:
                            pending.append(number)
                    try:
                        reply = http.post(
                            f"{self.urls[turn % 2]}/v1/events", json=[event(number) for number in pending]
                        )
                        done = reply.status_code != 503 and self._receive(reply, pending, again)
                    except httpx.TransportError:
                        done = False
                    if done:
                        pending.clear()
                    else:
                        again, turn = True, turn + 1
                        self.counts["resent"] += 1
                self.stopped.wait(PAUSE)

    def _receive(self, reply: httpx.Response, sent: list[int], again: bool) -> bool:
        told = [one["status"] for one in reply.json()["receipts"]] if reply.status_code == 200 else []
        if len(told) != len(sent) or not {*told} <= ({"recorded", "duplicate"} if again else {"recorded"}):
            self.notes.add("wrong", f"events answered with {reply.status_code}: {reply.text[:300]}")
        self.counts["known"] += told.count("duplicate")
        self.notes.add("ack", [n for n, one in zip(sent, told, strict=False) if one != "refused"])
        return True

    def _ask(self, client: int) -> None:
        """Question after question; one that a server does not answer goes to the other."""
        rng = random.Random(self.seed * 1000 + client)
        with httpx.Client(timeout=ONE_TRY) as http:
            while not self.stopped.wait(PAUSE):
                user = rng.choice(("live", "user", "nobody")) + str(rng.randrange(USERS))
                self._answered(http, {"user": user, "interests": 3, "items": 2}, rng.randrange(2))

    def _answered(self, http: httpx.Client, question: dict[str, Any], turn: int) -> None:
        began, why = time.monotonic(), ""
        while (took := time.monotonic() - began) < PATIENCE:
            try:
                reply = http.post(f"{self.urls[turn % 2]}/v1/explore", json=question)
                why = f"{reply.status_code}: {reply.text[:200]}"
                if reply.status_code == 200 and reply.json()["interests"]:
                    self.counts["answered"] += 1
                    self.counts["degraded"] += reply.json()["degraded"]
                    self.counts["longest_ms"] = max(self.counts["longest_ms"], round(1000 * took))
                    return
                if reply.status_code != 503:
                    break
            except httpx.TransportError as error:
                why = f"{type(error).__name__}: {error}"
            turn += 1
            self.counts["asked_again"] += 1
            time.sleep(0.02)
        self.notes.add("unanswered", f"after {took:.1f} s: {why}")
