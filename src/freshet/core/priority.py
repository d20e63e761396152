"""Work that can wait leaves the processors to what people wait for."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_permitted = False
_THREADS = Path("/proc/self/task")
_SESSION = Path("/proc/self/autogroup")


def permit() -> None:
    """This process is one command's alone, so that its priority may be lowered, which is for good."""
    global _permitted
    _permitted = True


def make_way(nice: int) -> None:
    """Lower this process, where `permit` was called, to a nice value: its threads and what it starts, too.

    Linux shares processors between sessions first where `sched_autogroup_enabled` is 1, and a nice value
    counts within one only. So a session that this process leads, as services do, is lowered as well; one that
    belongs to somebody's terminal is left alone. A priority that is lower already stays; none is ever raised.

    Args:
        nice: 0 (nothing changes) to 19 (whoever else wants a processor gets nearly all of it).
    """
    if nice <= 0 or not _permitted:
        return
    for thread in _threads():
        with suppress(OSError):  # it has ended, or the system forbids it: then it works as before
            if os.getpriority(os.PRIO_PROCESS, thread) < nice:
                os.setpriority(os.PRIO_PROCESS, thread, nice)
    if os.getsid(0) == os.getpid():
        with suppress(OSError, ValueError):  # there are no such groups
            if int(_SESSION.read_text().rpartition(" ")[2]) < nice:
                _SESSION.write_text(str(nice))


def _threads() -> list[int]:
    """Of this process; new ones take after the one that starts them."""
    try:
        return [int(one.name) for one in _THREADS.iterdir()]
    except OSError:  # no such folder: no Linux, where 0 means the process
        return [0]
