"""What the workers of one server share: which release is pinned, how many of them run, whose turn it is."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import orjson

from freshet.storage.durable import write_json, write_text


class WorkerFolder:
    """A folder of the processes that answer at one port; it lives as long as they do.

    Args:
        path: of the folder.
        number: of this worker, from 0; the first one also does what is to be done once.
    """

    def __init__(self, path: Path, number: int) -> None:
        self.path = path
        self.number = number
        self._pinned, self._running = path / "pinned", path / "running.json"
        self._lock = os.open(path / "log.lock", os.O_RDWR | os.O_CREAT, 0o600)
        self._done = ""

    @property
    def is_first(self) -> bool:
        """Whether it does what is to be done once: reads the stream, looks at the service levels."""
        return self.number == 0

    @property
    def dashboard(self) -> Path:
        """The socket of the dashboard, which whoever is asked first starts."""
        return self.path / "dashboard"

    def pin(self, release: int | None) -> None:
        """Tell all workers to serve a release, as this one does; None = to follow `CURRENT` again."""
        text = "" if release is None else str(release)
        write_text(self._pinned, text)
        self._done = text

    def new_pin(self) -> str | None:
        """What was told last, as `release_of` reads it; None where this worker has done it."""
        text = self._told()
        return None if text == self._done else text

    def pin_done(self, told: str) -> None:
        """What `new_pin` said is done."""
        self._done = told

    def note_running(self, running: int, wanted: int) -> None:
        """Of the workers that there should be, so many run."""
        write_json(self._running, {"running": running, "wanted": wanted})

    def trouble(self) -> str:
        """What is wrong with the workers, in words; '' = all of them run."""
        with suppress(OSError):
            found = orjson.loads(self._running.read_bytes())
            if found["running"] < found["wanted"]:
                return f"{found['running']} of {found['wanted']} workers run"
        return ""

    @contextmanager
    def in_turn(self) -> Iterator[None]:
        """A block in which no other worker is in one: for lines of log, which must stay whole."""
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._lock, fcntl.LOCK_UN)

    def _told(self) -> str:
        try:
            return self._pinned.read_text(encoding="utf-8")
        except FileNotFoundError:
            return ""


def release_of(told: str) -> int | None:
    """The release that was told; None = `CURRENT` is followed."""
    return int(told) if told else None
