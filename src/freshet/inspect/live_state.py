"""The newest event that serving remembers."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import numpy as np

from freshet.core.errors import StateError
from freshet.core.ports import UserStore
from freshet.core.time import datetime_of
from freshet.core.types import TRANSITION


@dataclass(frozen=True, slots=True)
class Live:
    """What serving remembers.

    Attributes:
        last_event: when the newest recorded event happened; None where none is kept.
        trouble: why it can't be read, '' where it can.
    """

    last_event: datetime | None
    trouble: str = ""


def live_of(users: UserStore) -> Live:
    """The last entry of a store's journal of events."""
    try:
        last = users.events.end()
        entries = users.events.read(last - 1, 1) if last else []
    except StateError as error:
        return Live(None, error.message)
    if not entries:
        return Live(None)
    return Live(datetime_of(int(np.frombuffer(entries[-1].body, TRANSITION, 1)["time"][0])))
