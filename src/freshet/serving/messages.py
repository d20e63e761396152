"""What goes into a recommender and what comes back of events: `Query`, `Event`, `Receipt`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Literal

from freshet.core.types.ids import plain_id


@dataclass(frozen=True, slots=True)
class Query:
    """Which interests, and which items of them, to recommend now, and to whom.

    Attributes:
        user: whose remembered history counts, or None.
        history: ids of items engaged, oldest first, instead of a remembered history; None = that of the user.
        interests: how many to recommend.
        items: how many of each; 0 = none.
        explain: whether to explain each recommendation.
        attributes: of the request, such as `region`, for rules that depend on them.
        exclude: ids of items that are not to be shown, beside those that the user engaged.
        release: number of a release that is open; None = the current one.
        now: microseconds since 1970 (UTC); None = the clock.
        log: whether the impression goes to the journal.
    """

    user: str | None = None
    history: tuple[str, ...] | None = None
    interests: int = 3
    items: int = 10
    explain: bool = False
    attributes: Mapping[str, str] = field(default_factory=dict)
    exclude: tuple[str, ...] = ()
    release: int | None = None
    now: int | None = None
    log: bool = True

    def __post_init__(self) -> None:
        """Ids by the rule of the log."""
        put = partial(object.__setattr__, self)
        put("user", None if self.user is None else plain_id(self.user))
        put("history", None if self.history is None else tuple(map(plain_id, self.history)))
        put("exclude", tuple(map(plain_id, self.exclude)))


@dataclass(frozen=True, slots=True)
class Event:
    """Something a user did with an item, as a client sends it.

    Attributes:
        time: microseconds since 1970 (UTC); None = when it was received.
        id: the client's own id of the event; '' = (user, item, time) is its identity.
        impression: `Answer.id` of what it follows from; '' = unknown.
        columns: further columns, which the positive rule and metrics may read.
    """

    user: str
    item: str
    time: int | None = None
    value: float = 1.0
    id: str = ""
    impression: str = ""
    columns: Mapping[str, str | float | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Ids by the rule of the log."""
        for name in ("user", "item", "id"):
            object.__setattr__(self, name, plain_id(getattr(self, name)))


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of an event; `why` says why it was refused."""

    status: Literal["recorded", "duplicate", "refused"]
    why: str = ""
