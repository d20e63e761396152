"""Pauses in work that shares the interpreter with answers to people who wait."""

from __future__ import annotations

import time
from typing import TypeVar

LONGEST = 0.1
"""Seconds of a pause at most."""

T = TypeVar("T")


class Pauses:
    """Called between two parts of some work: sleeps as long as the part before took.

    Python runs one thread at a time. One that works on without a pause takes half of the turns, and requests
    that need more than the other half pile up until it ends; in pauses they are caught up with.

    Args:
        taken: False where nobody waits: the parts follow each other at once.
    """

    def __init__(self, *, taken: bool = True) -> None:
        self._taken = taken
        self._since = time.perf_counter()

    def __call__(self) -> None:
        """The pause after a part."""
        if self._taken:
            time.sleep(min(LONGEST, time.perf_counter() - self._since))
            self._since = time.perf_counter()

    def after(self, made: T) -> T:
        """What a part has made, after the pause."""
        self()
        return made


NONE = Pauses(taken=False)
"""Of work that nobody waits beside."""
