"""The services of a busy workspace: two servers, their clients and a scheduler, killed and started again."""

from __future__ import annotations

import os
import random
import signal
import socket
import sys
import time
import urllib.request
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

from busy_clients import Crowd, Told
from busy_commands import BUSY, WAITS
from killing import Process, forked, waited

AHEAD = timedelta(minutes=20)
"""By so much the scheduler's clock is ahead: more than between two of its times."""
START = 300.0
"""Seconds within which a server must answer after its start, and children of who was killed must be gone."""

LIFE, SERVER_LIFE = 1.5, 1.2
"""Seconds of processor time that a scheduler and a server live, on average; a server needs little."""


@dataclass
class Found:
    """What happened so far."""

    counts: Counter[str] = field(default_factory=Counter)
    kills_of: Counter[str] = field(default_factory=Counter)
    points: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)
    dead: list[Process] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return self.kills_of.total()

    def bad(self, what: str, text: str, times: int = 1) -> None:
        self.counts[what] += times
        self.examples.append(f"{what}: {text}")
        print(f"{what}: {text}", file=sys.stderr, flush=True)

    def killed(self, process: Process, point: str) -> None:
        self.kills_of[process.words[0]] += 1
        self.points[point] += 1
        self.dead.append(process)

    def buried(self) -> None:
        """What a killed process has started must be gone soon."""
        end = time.monotonic() + START
        for process in self.dead:
            while process.outlived() and time.monotonic() < end:
                time.sleep(0.05)
            if process.outlived():
                self.bad("wedged", f"something outlives {process.words}")
        self.dead.clear()


class Services:
    """All of them, on one workspace.

    Args:
        shop: the workspace.
        notes: what clients write.
    """

    def __init__(self, shop: Path, notes: Path, rng: random.Random, found: Found) -> None:
        self.shop, self.notes, self.rng, self.found = shop, notes, rng, found
        self.ports = [_free_port(), _free_port()]
        self.servers = [self._serve(number) for number in (0, 1)]
        self.ready()
        self.notes.write_text("")
        self.orders, self.crowd = self._clients()
        self.scheduler = self._schedule()

    def _serve(self, number: int) -> Process:
        words = ["serve", "--port", str(self.ports[number]), "--no-auth", "--json"]
        return Process(self.shop, f"server-{number}", words, life=self.rng.expovariate(1 / SERVER_LIFE))

    def _schedule(self) -> Process:
        """A daemon, or what a cron job starts; half of them die at a change to a file."""
        words = ["schedule", "--json", *self.rng.choice(([], ["--once"]))]
        if self.rng.random() < 0.5:
            return Process(self.shop, "scheduler", words, self.rng.randrange(250), first=_hurry)
        return Process(self.shop, "scheduler", words, life=self.rng.expovariate(1 / LIFE), first=_hurry)

    def _clients(self) -> tuple[int, int]:
        crowd = Crowd(
            [f"http://127.0.0.1:{port}" for port in self.ports], self.notes, self.rng.randrange(1000)
        )
        read, write = os.pipe()

        def work() -> int:
            os.close(write)
            return crowd.run(read)

        child = forked(work)
        os.close(read)
        return write, child

    def ready(self) -> None:
        """Wait until both servers answer."""
        end = time.monotonic() + START
        for number in (0, 1):
            while not _answers(self.ports[number]):
                if self.servers[number].ended():
                    self.watch()
                elif time.monotonic() > end:
                    said = self.servers[number].stack()
                    return self.found.bad("wedged", f"server {number} does not answer: {said}")
                time.sleep(0.05)
        return None

    def watch(self) -> None:
        """Kill whose life is over, and start again what has ended; a server should not by itself."""
        for number, server in enumerate(self.servers):
            if server.outdated() and _answers(self.ports[1 - number]):  # one at a time
                server.kill(self.rng.random() < 0.5)
            if server.ended():
                if server.code == -signal.SIGKILL:
                    self.found.killed(server, "moment")
                else:
                    self.found.bad("wrong", f"a server ended with {server.code}: {server.said()[-600:]}")
                self.servers[number] = self._serve(number)
        if self.scheduler.outdated():
            self.scheduler.kill(self.rng.random() < 0.5)
        if self.scheduler.ended():
            code = self.scheduler.code
            if code == -signal.SIGKILL:
                self.found.killed(self.scheduler, self.scheduler.note.read_text())
            elif code not in (0, WAITS, BUSY):
                self.found.bad("wrong", f"the scheduler ended with {code}: {self.scheduler.said()[-600:]}")
            self.scheduler = self._schedule()

    def retire(self, user: str) -> None:
        """Clients send nothing more of a user, and nothing is under way."""
        os.write(self.orders, f"{user}\n".encode())
        end = time.monotonic() + START
        while user not in Told.of(self.notes).retired:
            if time.monotonic() > end:
                raise RuntimeError(f"the clients do not let go of {user}")
            time.sleep(0.02)

    def stop(self) -> None:
        """All end as they should, the clients first."""
        self.ready()
        os.kill(self.crowd, signal.SIGTERM)
        code, self.crowd = waited(self.crowd), 0
        if code != 0:
            self.found.bad("wrong", f"the clients ended with {code}")
        for process in (self.scheduler, *self.servers):
            with suppress(ProcessLookupError):
                os.kill(process.id, signal.SIGTERM)
            if not process.wait(START):
                self.found.bad("wedged", f"{process.words} does not stop: {process.stack()}")
                process.kill(group=True)
            elif process.code not in (0, WAITS, BUSY, -signal.SIGKILL):
                said = process.said()[-600:]
                self.found.bad("wrong", f"{process.words} stopped with {process.code}: {said}")

    def end(self) -> None:
        """Leave nothing behind, whatever happened."""
        for process in (self.scheduler, *self.servers):
            process.kill(group=True)
        if self.crowd:
            os.kill(self.crowd, signal.SIGKILL)
            waited(self.crowd)


def _hurry() -> None:
    """In a scheduler's process: its times have always come, and it looks every few seconds."""
    from freshet.cli import schedule_command

    schedule_command.utc_now = lambda: datetime.now(UTC) + AHEAD  # type: ignore[attr-defined]
    schedule_command.time = SimpleNamespace(  # type: ignore[attr-defined]
        sleep=lambda seconds: time.sleep(min(max(seconds, 3.0), 6.0))
    )


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as reply:
            return bool(reply.status == 200)
    except OSError:
        return False


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
