"""Several processes that answer at one port: started, watched, replaced where one dies, ended together.

Each takes the port for itself (see `listening`), and the kernel gives every new connection to one of those
that listen: one that is still starting, or has died, is given none.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import IO, TextIO

import orjson
from prometheus_client.multiprocess import mark_process_dead

from freshet.http.json_log import JsonLog
from freshet.http.prometheus import SHARED
from freshet.http.worker_folder import WorkerFolder

POLL = 0.1
"""Seconds between two looks at them."""
FIRST_PAUSE, LONGEST_PAUSE, CALM = 0.5, 30.0, 60.0
"""Seconds before one that died is replaced: at first, at most, and alive for so long it begins anew."""
ANNOUNCED = '"url"'
"""What the line holds by which a worker says that it answers."""
_ENDED_AS_TOLD = {0, -signal.SIGTERM, -signal.SIGINT}
"""Exit codes of workers that were told to end; a signal ends at once what only starts."""


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
    end_with_parent(source)
    return found


def end_with_parent(source: TextIO = sys.stdin) -> None:
    """From now on end, as by SIGTERM, when the other side of a pipe is closed: then the parent is gone."""

    def wait() -> None:
        source.read()
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="parent", daemon=True).start()


class _Worker:
    """One place among the workers: its process, and when it is to be replaced."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.process: subprocess.Popen[str] | None = None
        self.answers = False
        self.signals = 0  # that it got
        self.begun = 0.0
        self.due = 0.0
        self.pause = FIRST_PAUSE

    def start(self, command: Sequence[str], told: WorkerSettings, folder: Path) -> None:
        """Start the process; raises OSError where the system has no room for it."""
        process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, SHARED: str(folder)},
            process_group=0,  # Ctrl-C reaches this process, which passes it on
        )
        self.process, self.begun, self.answers, self.signals = process, time.monotonic(), False, 0
        with suppress(BrokenPipeError):  # it has ended already, which is found out
            self._pipe(process.stdin).write(orjson.dumps(asdict(told)).decode() + "\n")
            self._pipe(process.stdin).flush()

    def announced(self) -> str:
        """The line by which it says that it answers, waited for; else all that it said before it ended."""
        if self.process is None:
            return ""
        said = ""
        for line in self._pipe(self.process.stdout):
            if ANNOUNCED in line:
                self.answers = True
                return line
            said += line
        return said

    def look(self) -> bool:
        """Whether it says just now that it answers."""
        if self.process is None or self.answers:
            return False
        out = self._pipe(self.process.stdout)
        if select.select([out], [], [], 0)[0] and ANNOUNCED in out.readline():
            self.answers = True
        return self.answers

    def pass_on(self, signals: Sequence[int]) -> None:
        """Send it those of all signals that it hasn't got; one that only starts knows but one of them."""
        while self.process is not None and (sent := self.signals) < len(signals):
            self.signals += 1
            if self.process.poll() is None:
                self.process.send_signal(signals[sent] if self.answers else signal.SIGTERM)

    def has_died(self, now: float, folder: Path) -> int | None:
        """The exit code, once, of a process that has ended; then its place is to be filled again."""
        if self.process is None or (code := self.process.poll()) is None:
            return None
        mark_process_dead(self.process.pid, str(folder))  # type: ignore[no-untyped-call]
        for pipe in (self.process.stdin, self.process.stdout):
            with suppress(OSError):
                self._pipe(pipe).close()
        if now - self.begun > CALM:
            self.pause = FIRST_PAUSE
        self.process, self.answers = None, False
        self.wait(now)
        return code

    def wait(self, now: float) -> None:
        """Before the place is filled again, longer each time."""
        self.due, self.pause = now + self.pause, min(2 * self.pause, LONGEST_PAUSE)

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        if pipe is None:
            raise AssertionError("it was started with pipes")
        return pipe


class Workers:
    """The processes of one server.

    Args:
        command: starts a worker, which reads its `WorkerSettings` from its standard input, and writes a line
            to its standard output once it answers.
        count: how many.
        port: that they take; see `listening.reserve`.
        secret: signs the sessions of the dashboard.
        log_to: for lines about workers, in the form of all lines of log.

    Attributes:
        said: by a worker that could not start, to its standard output.
    """

    def __init__(
        self, command: Sequence[str], count: int, port: int, secret: str, log_to: TextIO = sys.stderr
    ) -> None:
        self._command = command
        self._port = port
        self._secret = secret
        self._log_to = log_to
        self._workers = [_Worker(number) for number in range(count)]
        self._signals: list[int] = []
        self.said = ""

    def run(self, announce: Callable[[str], None]) -> int:
        """Until SIGTERM or SIGINT, which all workers get; returns 0, or the exit code of one that failed.

        Args:
            announce: called with the line of the first worker when all of them answer. Where one ends before
                that, the others are ended.
        """
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._signalled)
        with TemporaryDirectory(prefix="freshet-workers-") as folder:
            self._folder = WorkerFolder(Path(folder), -1)
            self._log = JsonLog(self._log_to, in_turn=self._folder.in_turn)
            first = self._started()
            if first:
                announce(first)
                self._watch()
            return self._ended()

    def _started(self) -> str:
        """The line of the first worker; '' where one failed or everything is to end."""
        first, *others = self._workers
        self._start(first, joins=True)  # alone: the others find what it has joined
        line = first.announced()
        if first.answers:
            for one in others:
                self._start(one)
        for one in others:
            said = one.announced()
            line = line if one.answers or not first.answers else said
        if all(one.answers for one in self._workers) and not self._signals:
            return line
        self.said = line
        return ""

    def _start(self, worker: _Worker, *, joins: bool = False) -> None:
        told = WorkerSettings(worker.number, str(self._folder.path), self._port, self._secret, joins)
        worker.start(self._command, told, self._folder.path)
        worker.pass_on(self._signals)  # that came while it was being started

    def _watch(self) -> None:
        """Replace those that die, until a signal comes."""
        self._note_running()
        while not self._signals:
            time.sleep(POLL)
            changed = [self._seen_to(one, time.monotonic()) for one in self._workers]
            if any(changed):
                self._note_running()

    def _seen_to(self, worker: _Worker, now: float) -> bool:
        """Replace a worker where it is time; whether anything about it has changed."""
        code = worker.has_died(now, self._folder.path)
        if self._signals:
            return False
        if code is not None:
            self._tell(worker, now, {"exit_code": code})
        elif worker.process is None and now >= worker.due:
            try:
                self._start(worker)
            except OSError as error:  # no room for a process now: the others go on
                worker.wait(now)
                self._tell(worker, now, {"message": str(error)})
        return worker.look() or code is not None

    def _tell(self, worker: _Worker, now: float, fields: dict[str, object]) -> None:
        again = round(worker.due - now, 1)
        self._log.add("error", "worker_ended", {"worker": worker.number, **fields, "again_in_seconds": again})

    def _note_running(self) -> None:
        with suppress(OSError):  # no room for a line: the workers go on
            self._folder.note_running(sum(one.answers for one in self._workers), len(self._workers))

    def _ended(self) -> int:
        """The exit code when all have ended."""
        if not self._signals:  # one could not start
            self._signals.append(signal.SIGTERM)
        for one in self._workers:
            one.pass_on(self._signals)
        codes = [one.process.wait() for one in self._workers if one.process is not None]
        return next((max(code, 1) for code in codes if code not in _ENDED_AS_TOLD), 0)

    def _signalled(self, number: int, _: FrameType | None) -> None:
        """Pass a signal on; a second one says that it is urgent, as it does to a single process."""
        self._signals.append(number)
        for one in self._workers:
            one.pass_on(self._signals)
