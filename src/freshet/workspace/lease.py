"""One writer at a time: a lease file with its owner and an expiry, taken over when the owner is gone."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from freshet.errors import Busy
from freshet.workspace.files import write_json

SECONDS = 6 * 3600.0
"""A lease is valid so long after it was taken, unless its owner's process is gone earlier."""


@contextmanager
def lease(path: Path, seconds: float = SECONDS) -> Iterator[None]:
    """Hold the lease for the block.

    Raises:
        Busy: another living run holds it.
    """
    owner = {
        "host": socket.gethostname(),
        "pid": os.getpid(),
        "started": psutil.Process().create_time(),
        "expires": time.time() + seconds,
    }
    with _turn(path.parent):
        held = _read(path)
        if held is not None and _alive(held):
            raise Busy(
                f"run {held.get('pid')} on {held.get('host')} is writing to this workspace",
                hint=f"wait for it to end; if it is certainly gone, delete {path}",
                retryable=True,
            )
        write_json(path, owner)
    try:
        yield
    finally:
        if _read(path) == owner:
            path.unlink(missing_ok=True)


@contextmanager
def _turn(folder: Path) -> Iterator[None]:
    """One process at a time looks and takes: two that find a stale lease must not both take it over."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)  # gives the lock back


def is_held(path: Path) -> bool:
    """Whether a living run holds the lease."""
    held = _read(path)
    return held is not None and _alive(held)


def _read(path: Path) -> dict[str, object] | None:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, json.JSONDecodeError):
        return None
    return content if isinstance(content, dict) else None


def _alive(held: dict[str, object]) -> bool:
    if held.get("host") != socket.gethostname():
        return float(str(held.get("expires", 0))) >= time.time()  # can't look there: trust the expiry
    try:
        process = psutil.Process(int(str(held.get("pid"))))
        return abs(process.create_time() - float(str(held.get("started")))) < 1.0
    except (psutil.NoSuchProcess, ValueError):
        return False
