"""What a run says while it goes on, for those who look on from elsewhere: `logs/<run>.jsonl`.

The ledger records steps when they end; this tells what happens meanwhile. Lines are appended, the progress
of the step at hand is one small file that is replaced every second. Neither is forced to the disk: both
outlive a killed process, not a power failure, and a run is neither slowed nor failed by them. They stay on
the machine of the run.
"""

from __future__ import annotations

import json
import os
import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic
from typing import Any, Protocol

from freshet.core import safe_names as names
from freshet.core.ports import Progress
from freshet.storage.durable import make_folder
from freshet.storage.permissions import file_mode

FOLDER = "logs"
LINES, LONGEST = 5000, 2000
"""Lines of a run that are kept, and characters of a line."""
KEPT = 200
"""Runs whose logs are kept; those of older ones are deleted when a run begins."""
EVERY = 0.7
"""Seconds between two writings of progress."""


class _Watching(Protocol):
    def say(self, text: str) -> None: ...
    def progress(self, name: str) -> Progress: ...


@dataclass(frozen=True, slots=True)
class Line:
    """Something that a run said, and when (ISO 8601, UTC)."""

    at: str
    text: str


@dataclass(frozen=True, slots=True)
class Underway:
    """What a run is doing.

    Attributes:
        step: at hand, '' between two; `since` when it began, `at` when this was written (ISO 8601, UTC).
        works: (done, total) by the name of each long work.
    """

    step: str = ""
    since: str = ""
    at: str = ""
    works: dict[str, tuple[int, int]] = field(default_factory=dict)


class RunLog:
    """A reporter that keeps what another one shows.

    Args:
        reporter: the other one.
        root: the workspace's folder.
        run: id of the run.
    """

    def __init__(self, reporter: _Watching, root: Path, run: str) -> None:
        self._reporter = reporter
        self._folder = root / FOLDER
        self._run = run
        self._lines = 0
        self._works: dict[str, tuple[int, int]] = {}
        self._step = self._since = ""
        self._written = 0.0
        self._lock = threading.Lock()
        with suppress(OSError):
            make_folder(self._folder)
            _prune(self._folder)

    def say(self, text: str) -> None:
        """Show a line, and keep it."""
        self._reporter.say(text)
        with self._lock, suppress(OSError):
            self._lines += 1
            if self._lines <= LINES:
                last = self._lines == LINES
                self._append("further lines are not kept" if last else text[:LONGEST])

    def progress(self, name: str) -> Progress:
        """Show how far long work is, and keep the last of it."""
        shown = self._reporter.progress(name)

        def note(done: int, total: int) -> None:
            shown(done, total)
            now = monotonic()
            if now - self._written >= EVERY or done >= total:
                with self._lock, suppress(OSError):
                    self._works[name] = (int(done), int(total))
                    self._write()
                    self._written = now

        return note

    def begin(self, step: str) -> None:
        """Note the step at hand, '' = none."""
        with self._lock, suppress(OSError):
            self._step, self._since, self._works = step, _now(), {}
            self._write()

    def _append(self, text: str) -> None:
        line = json.dumps({"at": _now(), "text": text}, ensure_ascii=False) + "\n"
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT
        handle = os.open(self._folder / f"{self._run}.jsonl", flags, file_mode())
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)

    def _write(self) -> None:
        content: dict[str, Any] = {
            "step": self._step,
            "since": self._since,
            "at": _now(),
            "works": self._works,
        }
        aside = self._folder / f"{self._run}.progress.part"
        handle = os.open(aside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, file_mode())
        try:
            os.write(handle, json.dumps(content).encode())
        finally:
            os.close(handle)
        aside.replace(self._folder / f"{self._run}.progress")


def read_lines(root: Path, run: str, last: int = LINES) -> list[Line]:
    """The last lines of a run; none where nothing was kept here. Broken ones are left out."""
    found = []
    try:
        kept = _file(root, run, "jsonl").read_bytes().splitlines()
    except OSError:
        return []
    for line in kept[-last:]:
        with suppress(ValueError, KeyError, TypeError, RecursionError):
            content = json.loads(line)
            found.append(Line(str(content["at"]), str(content["text"])))
    return found


def read_underway(root: Path, run: str) -> Underway | None:
    """What a run was doing last; None where that isn't known on this machine."""
    try:
        content = json.loads(_file(root, run, "progress").read_bytes())
        works = {str(name): (int(done), int(total)) for name, (done, total) in content["works"].items()}
        return Underway(str(content["step"]), str(content["since"]), str(content["at"]), works)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def stamp(root: Path, run: str) -> tuple[int, ...]:
    """Changes whenever either of them does."""
    found = []
    for kind in ("jsonl", "progress"):
        with suppress(OSError):
            stat = _file(root, run, kind).stat()
            found += [stat.st_mtime_ns, stat.st_size]
    return tuple(found)


def _file(root: Path, run: str, kind: str) -> Path:
    return root / FOLDER / f"{names.checked(run, 'id of a run')}.{kind}"


def _prune(folder: Path) -> None:
    kept = sorted(path for path in folder.iterdir() if names.number(path.name.partition(".")[0]) is not None)
    runs = sorted({path.name.partition(".")[0] for path in kept})
    old = set(runs[:-KEPT])
    for path in kept:
        if path.name.partition(".")[0] in old:
            path.unlink(missing_ok=True)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
