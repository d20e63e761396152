"""What the user store remembers of users, and what serving answers.

Answers are not frozen: setting a frozen field takes three times as long, and a request has some 150 of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

REMEMBERED = 128
"""How many of a user's items serving remembers: those engaged last."""

TRANSITION = np.dtype([("time", "<i8"), ("user", "<u8"), ("last", "<i4"), ("successor", "<i4")])
"""What every body in the journal of events begins with: the event as a transition.

Time in microseconds since 1970; `user` a 64-bit key; stable ids of the interest engaged last before it and of
the novel interest taken up, each -1 where there is none.
"""


@dataclass(frozen=True, slots=True)
class History:
    """What one user engaged, as far as serving remembers it.

    Attributes:
        items: (m,) 64-bit keys of the items engaged last, each once, oldest first.
        item_times: (m,) when each was engaged last, in microseconds since 1970 (UTC), ascending.
        interests: (j,) stable ids of the interests engaged, each once, in no order.
        interest_times: (j,) when each was engaged last, in microseconds since 1970.
    """

    items: NDArray[np.uint64]
    item_times: NDArray[np.int64]
    interests: NDArray[np.int32]
    interest_times: NDArray[np.int64]

    @classmethod
    def empty(cls) -> History:
        """Of a user who is not known."""
        return cls(
            np.zeros(0, np.uint64), np.zeros(0, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int64)
        )


@dataclass(frozen=True, slots=True)
class Fact:
    """One event, ready to be remembered.

    Attributes:
        identity: 16 bytes; two facts with one identity are one event.
        user: 16 bytes, the key of the user.
        item: 64-bit key of the item.
        interest: stable id of the item's interest, -1 where it has none.
        time: microseconds since 1970 (UTC).
        engaged: whether the event passes the positive rule; if not, it leaves no trace in the history.
        body: what the journal keeps.
    """

    identity: bytes
    user: bytes
    item: int
    interest: int
    time: int
    engaged: bool
    body: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of a journal; positions ascend, with gaps allowed."""

    position: int
    body: bytes


@dataclass(slots=True)
class RecommendedItem:
    """An item to show, and the log-probability of it among the interest's items ('' title = none known).

    `reason`: `sequence` (the ranker's score), `new` (no engagement yet: by what it is about), `popular`, or
    `parent` (from the neighbouring interests, where the interest itself has too few eligible items).
    """

    id: str
    title: str
    score: float
    reason: str


@dataclass(slots=True)
class Recommendation:
    """An interest to show, and items of it.

    Attributes:
        id, description: of the interest.
        score: log-probability that it is the user's next interest, among all that may be recommended;
            feedback may have put it at another place than that.
        propensity: probability with which it stands at this place, given those before it; 1 without
            exploration.
        reason: `mixture`, `explored` (drawn, where another scored better), `live` (live signals put it here),
            `feedback` (what people did with such proposals put it here), `unfitted` (no weights could be
            fitted: by popularity, or a planner's prior), or how the user's history falls short: `popular`
            (nothing recent), `known` (nothing new is left).
        items: best first; empty where the query wants none.
        explanation: what speaks for it, where the query wants it.
    """

    id: int
    description: str
    score: float
    propensity: float
    reason: str
    items: tuple[RecommendedItem, ...] = ()
    explanation: dict[str, Any] | None = None


@dataclass(slots=True)
class Answer:
    """What to show a user.

    Attributes:
        id: of this impression; events that follow from it may name it.
        release: number of the one release that everything in it comes from.
        context: the user's own context, by description, most recent last; `context_ids` by stable id.
        answered: which row of the table holds the user's own context: `pair`, `last`, `popular`, `triple`.
        explored: whether the interests were drawn rather than the best taken.
        degraded: the state could not be read: the user was answered like one who is not known.
        interests: best first; empty only where the rules allow nothing at all.
        experiment, arm: which experiment decided what the user is shown, and in which arm; '' = none did.
    """

    id: str
    release: int
    context: tuple[str, ...]
    context_ids: tuple[int, ...]
    answered: str
    explored: bool
    interests: tuple[Recommendation, ...]
    degraded: bool = False
    experiment: str = ""
    arm: str = ""
