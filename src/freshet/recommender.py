"""The library: `from freshet import Recommender`.

from freshet import Recommender

with Recommender.open("shop") as shop:
    shop.record("u1", "tt0111161", value=9)
    for one in shop.recommend("u1", interests=3, items=10).interests:
        print(one.description, [item.title for item in one.items])
"""

from __future__ import annotations

import warnings
import weakref
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Self

from freshet.core.errors import ConfigError
from freshet.core.time import microseconds_of
from freshet.core.types import Answer
from freshet.serving import Event, Query, Receipt
from freshet.serving import Recommender as Core
from freshet.wiring import open_recommender
from freshet.wiring_buckets import check_out

TOGETHER = 500
"""Impressions that are kept in memory before they are written; the rest is written by `close`."""


class Recommender:
    """Recommendations in this process, out of a workspace's current release.

    Attributes:
        core: everything else that serving can do (`freshet.serving.Recommender`).
    """

    def __init__(self, core: Core) -> None:
        self.core = core
        self._closed = weakref.finalize(self, core.close)  # at the latest when the process ends

    @classmethod
    def open(cls, workspace: str | Path) -> Self:
        """Open a workspace: a folder, or the URL of a bucket (`s3://`, `gs://`, `az://`).

        Raises:
            ConfigError: it is none.
            NotServing: nothing has been published yet.
            ArtifactError: a part of the release is missing or damaged.
        """
        return cls(open_recommender(check_out(workspace)))

    def recommend(
        self,
        user: str | None = None,
        *,
        history: Sequence[str] | None = None,
        interests: int = 3,
        items: int = 10,
        explain: bool = False,
        attributes: Mapping[str, str] | None = None,
        exclude: Sequence[str] = (),
        log: bool = True,
    ) -> Answer:
        """New interests for a user, and items of each.

        Args:
            user: whose remembered history counts.
            history: ids of items engaged, oldest first, instead of a remembered history.
            interests: how many.
            items: how many of each.
            explain: whether to explain each.
            attributes: of the request, for rules that depend on them.
            exclude: items not to show.
            log: whether the impression is kept for later evaluation.
        """
        given = None if history is None else tuple(history)
        query = Query(user, given, interests, items, explain, attributes or {}, tuple(exclude), log=log)
        answer = self.core.recommend(query)
        if self.core.buffered >= TOGETHER:
            self.core.flush()
        return answer

    def record(
        self,
        user: str,
        item: str,
        value: float = 1.0,
        time: datetime | None = None,
        id: str = "",
        *,
        impression: str = "",
        columns: Mapping[str, str | float | bool] | None = None,
    ) -> Receipt:
        """Record what a user did; it is remembered, durably, and counts from the next call on.

        Args:
            user: who.
            item: with what.
            value: how much: rating, watch share, quantity.
            time: when; None = now.
            id: your own id of the event; '' = (user, item, time) is its identity.
            impression: `Answer.id` of what it follows from: what experiments are measured by.
            columns: further columns, which the positive rule and metrics may read.

        Raises:
            ConfigError: the time has no zone.
            StateError: it could not be remembered.
        """
        moment = None
        if time is not None:
            if time.tzinfo is None:
                raise ConfigError("a time needs its zone", hint="such as datetime.now(UTC)")
            moment = microseconds_of(time)
        return self.core.record([Event(user, item, moment, value, id, impression, columns or {})])[0]

    def explore(self, user: str | None = None, **options: Any) -> Answer:
        """Deprecated: the former name of `recommend`."""
        warnings.warn("Recommender.explore is now called recommend", DeprecationWarning, stacklevel=2)
        return self.recommend(user, **options)

    def tell(self, user: str, item: str, *values: Any, **options: Any) -> Receipt:
        """Deprecated: the former name of `record`."""
        warnings.warn("Recommender.tell is now called record", DeprecationWarning, stacklevel=2)
        return self.record(user, item, *values, **options)

    def reload(self) -> bool:
        """Serve the release that is current now; whether anything changed."""
        return self.core.reload()

    def close(self) -> None:
        """Write what is buffered and let go of files."""
        self._closed()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
