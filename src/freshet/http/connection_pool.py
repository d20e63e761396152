"""How many connections the process can hold, and which makes way for a new one."""

from __future__ import annotations

import os
import resource
from typing import Protocol

from freshet.core.errors import ConfigError

RESERVE = 64
"""Kept free for what a server opens beside connections: releases, settings, keys, the state."""
LEAST = 16
"""Connections without which serving makes no sense."""


def connection_limits(wished: int) -> tuple[int, int]:
    """(connections that may be open at once, of those how many may wait to be accepted).

    The process takes as many descriptors as the system lets it. Connections that wait are accepted all at
    once, so that these many descriptors are kept free for them.

    Raises:
        ConfigError: there are too few to serve anybody.
    """
    used = len(os.listdir("/dev/fd"))  # noqa: PTH208 - numbers, not paths
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = used + RESERVE + wished + wished // 2
    if soft != resource.RLIM_INFINITY and soft < needed:
        soft = needed if hard == resource.RLIM_INFINITY else min(hard, needed)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    free = soft - used - RESERVE if soft != resource.RLIM_INFINITY else needed
    backlog = max(1, min(1024, free // 3))
    most = min(wished, free - backlog)
    if most < min(LEAST, wished):
        raise ConfigError(
            f"the process may open {soft} files, which leaves {max(most, 0)} connections",
            hint=f"raise the limit (`ulimit -n`, `LimitNOFILE`) to {used + RESERVE + 2 * LEAST} at least",
        )
    return most, backlog


class Connection(Protocol):
    """One that can be closed."""

    def close(self) -> None:
        """Hang up."""


class ConnectionPool:
    """The open connections of a server; the one that was idle longest makes way for a new one.

    Args:
        most: connections at once.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._open: set[Connection] = set()
        self._turned: set[Connection] = set()
        self._idle: dict[Connection, None] = {}  # in the order in which they fell idle

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, one: Connection) -> bool:
        """Whether there was room, or could be made."""
        if len(self._open) >= self.most:
            longest = next(iter(self._idle), None)
            if longest is None:
                return False
            self.leave(longest)
            longest.close()
        self._open.add(one)
        return True

    def rests(self, one: Connection) -> None:
        """It has no request under way."""
        if one in self._open:
            self._idle[one] = None

    def works(self, one: Connection) -> None:
        """It has one."""
        self._idle.pop(one, None)

    def lingers(self, one: Connection) -> bool:
        """Whether it may stay until the client has read why it is turned away; it counts no more."""
        self.leave(one)
        if len(self._turned) >= RESERVE // 2:
            return False
        self._turned.add(one)
        return True

    def leave(self, one: Connection) -> None:
        """It is closed."""
        self._open.discard(one)
        self._turned.discard(one)
        self._idle.pop(one, None)
