"""Titles of the items that users engaged last, for templates that show them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.core.prompt_templates import clean
from freshet.core.types import AsOf
from freshet.run_context import RunContext
from freshet.stages import content, events, interests
from freshet.stages.content.item_engagements import ItemEngagements
from freshet.storage.artifacts import committed
from freshet.storage.manifests import AssignmentManifest, TransitionsManifest


@dataclass(frozen=True)
class Histories:
    """What some users engaged, item by item.

    Attributes:
        engaged: their engagements before the moment of the run.
        titles: of the items, cleaned; '' where the catalogue has none.
    """

    engaged: ItemEngagements
    titles: tuple[str, ...]

    @classmethod
    def read(cls, ctx: RunContext, users: NDArray[np.uint64]) -> Histories:
        """Of users by number, out of the log."""
        ws, store = ctx.ws, ctx.ws.store
        inputs = TransitionsManifest.of(committed(store, "transitions", ctx.log.version)).inputs
        assigned = committed(store, "assignments", inputs.assignment)
        ids = list(interests.load_assignment(assigned.path).items)
        catalogue = committed(store, "items", AssignmentManifest.of(assigned).inputs.items)
        table = pq.read_table(catalogue.path / events.ITEMS_FILE, columns=["item", "title"])
        named = dict(zip(table["item"].to_pylist(), table["title"].to_pylist(), strict=True))
        days = [day.path for day in events.EventLog(ws.source).snapshot(ctx.as_of).days]
        rule = events.parse(ws.config.events.positive).sql
        engaged = content.read_engagements(days, rule, ids, users)
        return cls(engaged, tuple(clean(named.get(item) or "") for item in ids))

    def before(self, moment: AsOf, users: NDArray[np.uint64], most: int) -> list[tuple[str, ...]]:
        """For each user the titles of up to `most` items engaged last before a moment, most recent last."""
        last = self.engaged.last(users, np.full(len(users), moment.microseconds), most)
        return [
            tuple(self.titles[item] for item in row if item >= 0 and self.titles[item])
            for row in last.tolist()
        ]
