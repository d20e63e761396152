"""The library: `from freshet import Recommender`.

from freshet import Recommender

with Recommender.open("shop") as shop:
    shop.tell("u1", "tt0111161", value=9)
    for offer in shop.explore("u1", interests=3, items=10).interests:
        print(offer.description, [item.title for item in offer.items])
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

from freshet import serving
from freshet.core.errors import ConfigError
from freshet.core.types import Answer
from freshet.wiring import open_recommender

MICROSECONDS = 1_000_000
TOGETHER = 500
"""Impressions that are kept in memory before they are written; the rest is written by `close`."""


class Recommender:
    """Recommendations in this process, out of a workspace's current release.

    Attributes:
        core: everything else that serving can do (`freshet.serving.Recommender`).
    """

    def __init__(self, core: serving.Recommender) -> None:
        self.core = core
        self._closed = weakref.finalize(self, core.close)  # at the latest when the process ends

    @classmethod
    def open(cls, workspace: str | Path) -> Self:
        """Open a workspace.

        Raises:
            ConfigError: it is none.
            NotServing: nothing has been published yet.
            ArtifactError: a part of the release is missing or damaged.
        """
        return cls(open_recommender(Path(workspace)))

    def explore(
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
            explain: whether to say what speaks for each.
            attributes: of the request, for rules that depend on them.
            exclude: items not to show.
            log: whether the impression is kept for later evaluation.
        """
        told = None if history is None else tuple(history)
        ask = serving.Ask(user, told, interests, items, explain, attributes or {}, tuple(exclude), log=log)
        answer = self.core.explore(ask)
        if self.core.buffered >= TOGETHER:
            self.core.flush()
        return answer

    def tell(
        self,
        user: str,
        item: str,
        value: float = 1.0,
        time: datetime | None = None,
        id: str = "",
        *,
        impression: str = "",
        columns: Mapping[str, str | float | bool] | None = None,
    ) -> serving.Receipt:
        """Tell what a user did; it is remembered, durably, and counts from the next call on.

        Args:
            user: who.
            item: with what.
            value: how much: rating, watch share, quantity.
            time: when; None = now.
            id: your own id of the event; '' = (user, item, time) is its identity.
            impression: `Answer.id` of what it follows from: what experiments are judged by.
            columns: further columns, which the positive rule and metrics may read.

        Raises:
            ConfigError: the time has no zone.
            StateError: it could not be remembered.
        """
        moment = None
        if time is not None:
            if time.tzinfo is None:
                raise ConfigError("a time needs its zone", hint="such as datetime.now(UTC)")
            since = time.astimezone(UTC) - datetime(1970, 1, 1, tzinfo=UTC)
            moment = (since.days * 86_400 + since.seconds) * MICROSECONDS + since.microseconds
        return self.core.record([serving.Posted(user, item, moment, value, id, impression, columns or {})])[0]

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
