"""One writer at a time: a lease file that names its owner and is kept fresh while the owner lives.

Who may take a lease over, and how that is known without trusting any clock:

- The owner ran *here* (same boot of the same machine, same process namespace): its process id and the tick it
  started at say whether it lives. While it does, the lease holds, however old.
- The owner ran *elsewhere* (or the file was copied here with its workspace): it touches the file every few
  seconds. A lease that looks expired is watched for its whole length by this process's monotonic clock, and
  taken over only if nobody touched it: a clock that jumped can delay a run, never let two write.
- Looking and taking happen under one lock on the folder, so that two that find a dead lease take turns.
- An owner that was out of reach for long may have lost its lease: `Lease.fenced` finds out under that same
  lock before anything is published.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

from freshet.core.errors import Busy, LeaseLost
from freshet.storage.durable import locked, written
from freshet.storage.lease_owner import SECONDS, Owner, parsed, place, started, this_process

BEATS = 6
"""How often an owner touches its lease within that time."""
POLL = 0.2
"""Seconds between two looks of a run that waits."""


class Lease:
    """A lease that is held.

    Attributes:
        took_over: its last owner died without giving it back.
    """

    def __init__(self, path: Path, owner: Owner, took_over: bool) -> None:
        self.path = path
        self.owner = owner
        self.took_over = took_over

    @contextmanager
    def fenced(self) -> Iterator[None]:
        """A block in which nobody can take the lease over.

        Raises:
            LeaseLost: somebody has; the block is not entered.
        """
        with locked(self.path.parent):
            held = read(self.path)
            if held is None or held.token != self.owner.token:
                raise LeaseLost(
                    f"this run lost its lease, {f'now held by {held}' if held else 'which was deleted'}; "
                    "it publishes nothing",
                    hint="run the command again: it continues where it was",
                    retryable=True,
                )
            yield

    def name_run(self, run: str) -> None:
        """Say which run holds the lease."""
        with self.fenced():
            self.owner = _write(self.path, replace(self.owner, run=run))


@contextmanager
def lease(
    path: Path,
    command: str = "",
    *,
    seconds: float = SECONDS,
    wait: float = 0.0,
    say: Callable[[str], None] = lambda _: None,
) -> Iterator[Lease]:
    """Hold the lease for the block; it is kept fresh meanwhile.

    Args:
        command: what the owner is doing, for people.
        wait: seconds to wait for a living owner.
        say: called with the reason while nothing happens.

    Raises:
        Busy: another living run holds it.
    """
    held = _take(path, command, seconds, wait, say)
    ended = threading.Event()
    beating = threading.Thread(target=_beat, args=(held, ended), name="lease", daemon=True)
    beating.start()
    try:
        yield held
    finally:
        ended.set()
        beating.join()
        with locked(path.parent):
            if (now := read(path)) is not None and now.token == held.owner.token:
                path.unlink()


def read(path: Path) -> Owner | None:
    """Who the lease names; None where there is no lease, or nothing that can be read.

    Another Freshet may say more, which is ignored, or less: then its place can't be trusted.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return None
    return parsed(content)


def is_held(path: Path) -> bool:
    """Whether a run seems to hold the lease; at once, so by the clock where it is another machine's run."""
    return (owner := read(path)) is not None and _state(owner, path) == "held"


def _take(path: Path, command: str, seconds: float, wait: float, say: Callable[[str], None]) -> Lease:
    start = time.monotonic()
    mark: tuple[str, int] | None = None
    untouched_since, reported = start, ""
    while True:
        with locked(path.parent):
            owner = read(path)
            left_over = path.exists()
            state = "gone" if owner is None else _state(owner, path)
            now = time.monotonic()
            if owner is not None and state == "doubtful":
                touched = (owner.token, path.stat().st_mtime_ns)
                if touched != mark:
                    state = "doubtful" if mark is None else "held"
                    mark, untouched_since = touched, now
                elif now - untouched_since >= owner.seconds:
                    state = "gone"
            if owner is None or state == "gone":
                return Lease(path, _write(path, this_process(command, seconds)), took_over=left_over)
        if state == "held" and now - start >= wait:
            raise Busy(
                f"{owner} is writing to this workspace",
                hint="wait for it with `--wait SECONDS`; if its process has died, its lease is taken over",
                retryable=True,
            )
        if state != reported:
            reported = state
            say(
                f"waiting for {owner}"
                if state == "held"
                else f"{owner} seems to be gone: watching {owner.seconds:.0f} s for a sign of life"
            )
        time.sleep(POLL)


def _state(owner: Owner, path: Path) -> str:
    """held, gone, or doubtful: only watching decides."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return "gone"
    if owner.place == place():
        if started(owner.pid) != owner.started:
            return "gone"
        return "held" if found.st_ino == owner.file else "doubtful"
    # either clock may be wrong: a lease far from now in any direction is worth watching, no more
    return "held" if abs(time.time() - found.st_mtime) < owner.seconds else "doubtful"


def _beat(held: Lease, ended: threading.Event) -> None:
    """Touch the lease until the run ends or the lease is lost; needs no room on the disk."""
    while not ended.wait(held.owner.seconds / BEATS):
        try:
            with held.fenced():
                os.utime(held.path)
        except LeaseLost:
            return  # the run finds out before it publishes
        except OSError:
            continue  # a disk out of reach for a moment


def _write(path: Path, owner: Owner) -> Owner:
    """Write a lease that knows its own inode, which a copy of it does not have."""
    with written(path) as aside:
        owner = replace(owner, file=aside.stat().st_ino)
        aside.write_text(json.dumps(asdict(owner)), encoding="utf-8")
    return owner
