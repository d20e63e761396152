"""The newest event that serving remembers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from freshet.core.errors import StateError
from freshet.core.ports import UserStore
from freshet.core.time import datetime_of
from freshet.core.types import TRANSITION

LAST = 256
"""Entries of the journal that are looked at."""


@dataclass(frozen=True, slots=True)
class Live:
    """What serving remembers.

    Attributes:
        last_event: when the newest event of the last recorded ones happened; None where none is kept.
        trouble: why it can't be read, '' where it can.
    """

    last_event: datetime | None
    trouble: str = ""


def live_of(users: UserStore) -> Live:
    """The newest of the last entries of a store's journal of events: the last to arrive may be late."""
    try:
        last = users.events.end()
        entries = users.events.read(max(0, last - LAST), LAST) if last else []
    except StateError as error:
        return Live(None, error.message)
    if not entries:
        return Live(None)
    times = (int(np.frombuffer(entry.body, TRANSITION, 1)["time"][0]) for entry in entries)
    return Live(datetime_of(max(times)))
