"""Who holds a lease, and whether a process that does so on this machine lives."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any
from uuid import uuid4

SECONDS = 60.0
"""A lease expires so long after its owner last touched it."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who holds a lease. What a lease doesn't say means: somebody elsewhere, who is watched.

    Attributes:
        token: of this very lease.
        place: boot and process namespace, within which `pid` and `started` (a clock tick) mean something.
        host, command, run, since: for people.
        seconds: after which an untouched lease has expired.
        file: inode of the lease; a copied workspace has another.
    """

    token: str = ""
    place: str = ""
    pid: int = 0
    started: str = ""
    host: str = "another machine"
    command: str = ""
    run: str = ""
    since: str = "an unknown time"
    seconds: float = SECONDS
    file: int = 0

    def __str__(self) -> str:
        run = f"run {self.run}, " if self.run else ""
        return f"`freshet {self.command}` ({run}process {self.pid} on {self.host}) since {self.since}"


def this_process(command: str, seconds: float) -> Owner:
    """A new lease of this process."""
    return Owner(
        uuid4().hex, place(), os.getpid(), started(os.getpid()), socket.gethostname(),
        command, "", f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC", seconds,
    )  # fmt: skip


def parsed(content: object) -> Owner | None:
    """Who a lease names, as JSON has it; None where it is no lease.

    Another Freshet may say more, which is ignored, or less: then its place can't be trusted.
    """
    if not isinstance(content, dict):
        return None
    known: dict[str, Any] = {
        one.name: content[one.name]
        for one in fields(Owner)
        if type(content.get(one.name)) in ((int, float) if one.name == "seconds" else (type(one.default),))
    }
    return Owner(**known) if len(known) == len(fields(Owner)) else replace(Owner(**known), place="")


@cache
def place() -> str:
    """Where process ids and start ticks can be compared."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot}/{Path('/proc/self/ns/pid').stat().st_ino}"
    except OSError:  # no Linux
        return socket.gethostname()


def started(pid: int) -> str:
    """When a process started, in ticks since boot that no clock change moves; '' if it is gone."""
    try:
        state, *fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        return "" if state in "ZX" else fields[18]
    except (FileNotFoundError, ProcessLookupError):
        if Path("/proc/self/stat").exists():
            return ""
    import psutil  # late: where there is /proc nobody needs it

    try:
        return str(round(psutil.Process(pid).create_time()))
    except psutil.NoSuchProcess:
        return ""
