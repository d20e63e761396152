"""Several processes that answer at one port: started, watched, replaced where one dies, ended together.

Each takes the port for itself (see `listening`), and the kernel gives every new connection to one of those
that listen: one that is still starting, or has died, is given none.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import TextIO

import orjson
from prometheus_client.multiprocess import mark_process_dead

from freshet.http.json_log import JsonLog
from freshet.http.prometheus import SHARED
from freshet.http.worker_folder import WorkerFolder

MOST = 64
"""Workers of one server."""
POLL = 0.1
"""Seconds between two looks at them."""
FIRST_PAUSE, LONGEST_PAUSE, CALM = 0.5, 30.0, 60.0
"""Seconds before one that died is replaced: at first, at most, and alive for so long it begins anew."""


@dataclass(frozen=True, slots=True)
class WorkerSettings:
    """What a worker is told at its start, over a pipe; when that is closed, its parent is gone.

    Attributes:
        number: from 0.
        folder: that the workers share.
        port: that they listen at.
        secret: signs the sessions of the dashboard.
        joins: it joins the histories of the log to the user store, which is done once.
    """

    number: int
    folder: str
    port: int
    secret: str
    joins: bool


def read_settings(source: TextIO = sys.stdin) -> WorkerSettings:
    """The settings of this worker; from now on it ends, as by SIGTERM, when its parent is gone."""
    found = WorkerSettings(**orjson.loads(source.readline()))

    def end_with_parent() -> None:
        source.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end_with_parent, name="parent", daemon=True).start()
    return found


class _Worker:
    """One place among the workers: its process, and when it is to be replaced."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: subprocess.Popen[str] | None = None
        self.signals = 0  # that it got
        self.begun = 0.0
        self.due = 0.0
        self.pause = FIRST_PAUSE

    def pass_on(self, signals: Sequence[int]) -> None:
        """Send it those of all signals that it hasn't got."""
        while self.process is not None and self.signals < len(signals):
            self.signals += 1
            if self.process.poll() is None:
                self.process.send_signal(signals[self.signals - 1])

    def has_died(self, now: float) -> int | None:
        """The exit code, once, of a process that has ended; then its place is to be filled again."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        mark_process_dead(self.process.pid)  # type: ignore[no-untyped-call]
        if now - self.begun > CALM:
            self.pause = FIRST_PAUSE
        self.process, self.due = None, now + self.pause
        self.pause = min(2 * self.pause, LONGEST_PAUSE)
        return code


class Workers:
    """The processes of one server.

    Args:
        command: starts a worker, which reads its `WorkerSettings` from its standard input, and writes a line
            to its standard output once it answers.
        count: how many.
        port: that they take; see `shared_port`.
        secret: signs the sessions of the dashboard.
        log_to: for lines about workers, in the form of all lines of log.
    """

    def __init__(
        self, command: Sequence[str], count: int, port: int, secret: str, log_to: TextIO = sys.stderr
    ) -> None:
        self._command = command
        self._port = port
        self._secret = secret
        self._log = JsonLog(log_to)
        self._workers = [_Worker(number) for number in range(count)]
        self._signals: list[int] = []

    def run(self, announce: Callable[[str], None]) -> int:
        """Until SIGTERM or SIGINT, which all workers get; returns 0, or the exit code of one that failed.

        Args:
            announce: called with the line of the first worker when all of them answer. Where one ends before
                that, the others are ended.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        with TemporaryDirectory(prefix="freshet-workers-") as folder:
            os.environ[SHARED] = folder
            self._folder = WorkerFolder(Path(folder), -1)
            lines = self._started()
            if lines is not None:
                announce(lines[0])
                self._watch()
            return self._ended(failed=lines is None)

    def _started(self) -> list[str] | None:
        """The lines of all workers, None where one failed or everything is to end."""
        first, *others = self._workers
        self._start(first, joins=True)  # alone: the others find what it has joined
        lines = [self._line_of(first)]
        if lines[0]:
            for one in others:
                self._start(one)
            lines += [self._line_of(one) for one in others]
        return lines if all(lines) and not self._signals else None

    def _line_of(self, worker: _Worker) -> str:
        """What a worker says when it answers; '' = it has ended before."""
        if worker.process is None or worker.process.stdout is None:
            raise AssertionError("it was started with a pipe")
        return worker.process.stdout.readline()

    def _start(self, worker: _Worker, *, joins: bool = False) -> None:
        told = WorkerSettings(worker.number, str(self._folder.path), self._port, self._secret, joins)
        process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            process_group=0,  # Ctrl-C reaches this process, which passes it on
        )
        worker.process, worker.begun, worker.signals = process, time.monotonic(), 0
        if process.stdin is None:
            raise AssertionError("it has a pipe")
        try:
            process.stdin.write(orjson.dumps(asdict(told)).decode() + "\n")
            process.stdin.flush()
        except BrokenPipeError:  # it has ended already, which is found out
            return
        worker.pass_on(self._signals)  # that came while it was being started

    def _watch(self) -> None:
        """Replace those that die, until a signal comes."""
        self._note_running()
        while not self._signals:
            time.sleep(POLL)
            now, changed = time.monotonic(), False
            for one in self._workers:
                code = one.has_died(now)
                if code is not None and not self._signals:
                    changed = True
                    fields = {"worker": one.number, "exit_code": code, "again_in_seconds": one.due - now}
                    self._log.add("error", "worker_ended", fields)
                if one.process is None and now >= one.due and not self._signals:
                    changed = True
                    self._start(one)
            if changed:
                self._note_running()

    def _note_running(self) -> None:
        running = sum(one.process is not None for one in self._workers)
        self._folder.note_running(running, len(self._workers))

    def _ended(self, *, failed: bool) -> int:
        """The exit code when all have ended."""
        if failed and not self._signals:
            self._signals.append(signal.SIGTERM)
        for one in self._workers:
            one.pass_on(self._signals)
        codes = [one.process.wait() for one in self._workers if one.process is not None]
        wished = {0, *(-number for number in self._signals)}  # a signal ends at once what only starts
        return next((max(code, 1) for code in codes if code not in wished), 0)

    def _signalled(self, number: int, _: FrameType | None) -> None:
        """Pass a signal on; a second one says that it is urgent, as it does to a single process."""
        self._signals.append(number)
        for one in self._workers:
            one.pass_on(self._signals)
