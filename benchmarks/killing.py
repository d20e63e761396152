"""What benchmarks that kill share: real commands in forked processes, which die at any file operation.

Who forks must stay without threads, so numeric libraries are held to one there.
"""

from __future__ import annotations

import faulthandler
import importlib
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # a process with threads could not be forked

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
OPERATIONS = ("os.rename", "os.link", "os.remove", "os.mkdir", "os.rmdir")
ALWAYS = (
    "freshet.cli.show",
    "freshet.doctor",
    "freshet.pipeline",
    "freshet.simulator",
    "freshet.wiring",
    "pyarrow.dataset",
    "scipy.optimize",
    "scipy.sparse",
    "scipy.special",
)
"""What a child would take seconds to import."""


def warm(more: Iterable[str] = ()) -> None:
    """Import what takes seconds, so that children need not; run none of it, which would start threads."""
    for name in (*ALWAYS, *more):
        importlib.import_module(name)


def forked(work: Callable[[], int], group: bool = False) -> int:
    """Do the work in a child process with everything imported already; returns its id.

    Args:
        group: it leads a process group of its own, which can be killed with its children.
    """
    sys.stderr.flush()
    sys.stdout.flush()
    process = os.fork()
    if process:
        return process
    code = 70
    try:
        if group:
            os.setpgid(0, 0)
        code = work()
    finally:
        os._exit(code)


def waited(process: int) -> int:
    """Exit code of a child; minus the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def said_to(log: Path) -> None:
    """Whatever this process writes goes to a file from here on."""
    handle = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(handle, 1)
    os.dup2(handle, 2)
    os.close(handle)


def watch(space: Path, happens: Callable[[str, str], None]) -> None:
    """Tell of every change to a folder's files right before this process makes it: which, and where."""
    ours = str(space)

    def hook(event: str, args: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(args[0], str) and isinstance(args[2], int) and args[2] & WRITES:
            tell(event, args[0])
        elif event in OPERATIONS:
            tell(event, str(args[1] if event in ("os.rename", "os.link") else args[0]))

    def tell(event: str, path: str) -> None:
        whole = str(Path(path).absolute())
        if whole.startswith(ours + "/"):
            happens(event, whole[len(ours) :])

    def fsync(handle: int, real: Callable[[int], None] = os.fsync) -> None:
        happens("os.fsync", "")
        real(handle)

    os.fsync = fsync  # type: ignore[assignment]
    sys.addaudithook(hook)


def die_at(space: Path, number: int, note: int) -> Callable[[], int]:
    """Kill this process right before a change to a folder's files.

    Args:
        number: of the change, from 0.
        note: handle of a file that is told which operation it was.

    Returns:
        How many changes there were so far, when called.
    """
    seen = [0]

    def happens(operation: str, _: str) -> None:
        if seen[0] == number:
            os.write(note, operation.encode())
            os.kill(os.getpid(), signal.SIGKILL)
        seen[0] += 1

    watch(space, happens)
    return lambda: seen[0]


class Process:
    """A real command of freshet in a process group of its own.

    Args:
        kill_at: the change to a file of the workspace before which it dies; -1 = none.
        first: done in the process before it begins.

    Attributes:
        log: what it writes.
        note: the operation before which it died, or how many there were.
        code: its exit code; None while it runs.
        left: processes that it had started when it was killed, and when they had begun.
    """

    def __init__(
        self,
        space: Path,
        name: str,
        words: list[str],
        kill_at: int = -1,
        first: Callable[[], None] | None = None,
    ) -> None:
        self.words = words
        self.log = space.parent / f"{name}.log"
        self.note = space.parent / f"{name}.note"
        self.began = time.monotonic()
        self.code: int | None = None
        self.left: dict[int, str] = {}
        self.log.write_text("")
        self.id = forked(lambda: self._run(space, kill_at, first), group=True)
        with suppress(OSError):  # whoever is first
            os.setpgid(self.id, self.id)

    def _run(self, space: Path, kill_at: int, first: Callable[[], None] | None) -> int:
        from freshet.cli import app

        said_to(self.log)
        faulthandler.register(signal.SIGUSR1, file=open(2, "w", closefd=False))  # noqa: SIM115 - it stays open
        os.chdir(space)
        note = os.open(self.note, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        if first is not None:
            first()
        operations = die_at(space, kill_at, note)
        code = app.run(self.words)
        os.write(note, str(operations()).encode())
        sys.stdout.flush()
        return code

    def ended(self) -> bool:
        """Whether it has; then its exit code is known."""
        if self.code is None:
            process, status = os.waitpid(self.id, os.WNOHANG)
            if process:
                self.code = os.waitstatus_to_exitcode(status)
        return self.code is not None

    def wait(self, seconds: float) -> bool:
        """Whether it has ended within some time."""
        end = time.monotonic() + seconds
        while not self.ended() and time.monotonic() < end:
            time.sleep(0.01)
        return self.ended()

    def kill(self, group: bool) -> None:
        """End it unless it has ended, and with its group whatever it has started; else `left` knows that."""
        if self.ended():
            return
        (os.killpg if group else os.kill)(self.id, signal.SIGKILL)
        self.left = _members(self.id)  # before its number is free for others
        self.code = waited(self.id)
        if self.code == -signal.SIGKILL:  # it has not ended by itself just now
            self.note.write_text("moment")

    def outlived(self) -> bool:
        """Whether something that it had started is still there."""
        return any(_started(child) == start for child, start in self.left.items())

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.began

    def stack(self) -> str:
        """What it is doing now, and what it said before."""
        with suppress(ProcessLookupError):
            os.kill(self.id, signal.SIGUSR1)
            time.sleep(1.0)
        return self.said()[-3000:]

    def said(self) -> str:
        return self.log.read_text(errors="replace")


def _stat(process: str) -> list[str]:
    """Fields of a living process from its state on; none where it has gone."""
    try:
        fields = Path("/proc", process, "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
    return fields if fields[0] != "Z" else []


def _started(process: int) -> str:
    return (_stat(str(process)) or [""] * 20)[19]


def _members(group: int) -> dict[int, str]:
    """Living processes of a group but its leader, and when they began."""
    found = {path.name: _stat(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()}
    return {
        int(name): stat[19]
        for name, stat in found.items()
        if stat and int(stat[2]) == group and int(name) != group
    }
