"""What a ranker learns from: the engagements of the log, and what was known before each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray

from freshet.core.config import RankerConfig
from freshet.core.errors import NotEnoughData
from freshet.core.ports import Budget, RankingJob
from freshet.core.time_scales import Scales
from freshet.run_context import LogSnapshot
from freshet.stages import events, interests
from freshet.stages import items as ranking
from freshet.storage.artifacts import committed
from freshet.storage.manifests import AssignmentManifest, TransitionsManifest
from freshet.storage.workspace import Workspace

RECENT = 20
"""Items of a history that are read."""

FEWEST = 50
"""Rows that anything is fitted or judged on, at least."""

CELLS = 8_000_000
"""Popularities that are kept at most: moments times items."""


@dataclass(frozen=True)
class TrainingData:
    """Engagements before a moment and what they were chosen from.

    Attributes:
        about: the V items.
        start: (N + 1,) items of interest i are start[i] to start[i + 1].
        log: all engagements with them.
        rows: first engagements, those to learn from and those without a history.
        every: days from one moment at which popularity is counted to the next.
        half_lives: of popularity, in days.
        nearest: (N, N - 1) the other interests, nearest first.
        now: the day since 1970 that all lies before.
    """

    about: interests.ItemFeatures
    start: NDArray[np.int64]
    log: ranking.Engagements
    rows: ranking.Rows
    every: int
    half_lives: tuple[float, ...]
    nearest: NDArray[np.int16]
    now: int

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """(V, a) what items are about, and who engaged with them in the earlier half of the log: to these the
        later half is news, as all that comes is to what serves.
        """
        return np.hstack([self.about.vectors, co_engagement(self.log, self.rows)])

    def engaged(self) -> NDArray[np.bool_]:
        """(V,) whether anybody engaged with the item."""
        return np.bincount(self.log.item, minlength=len(self.about.ids)) > 0

    def job(
        self,
        config: RankerConfig,
        budget: Budget,
        offset: NDArray[np.float64],
        rows: ranking.Rows,
        held: int | None = None,
        epochs: float = 0.0,
    ) -> RankingJob:
        """Learning from rows that have a history; those from day `held` on tell when to stop.

        Args:
            offset: (P + 1,) weights of popularity and newness.
        """
        rows = rows.take(rows.recent[:, -1] >= 0)
        rows = rows.take(_latest(rows.day, config.max_examples, held))
        starts, moment = np.unique(self.windows(rows), return_inverse=True)
        there = self.log.first < starts[:, None]
        known = there[moment, rows.item]
        rows, moment = rows.take(known), moment[known]
        every = ranking.features(self.log, starts.astype(np.int32), self.half_lives)
        prior = [offset.astype(np.float32) @ features for features in every]
        return RankingJob(
            recent=rows.recent,
            following=rows.item,
            moment=moment,
            user=rows.user,
            prior=np.stack(prior) if prior else np.zeros((0, len(self.about.ids)), np.float32),
            there=there,
            start=self.start,
            vectors=self.vectors,
            later=None if held is None else np.flatnonzero(rows.day >= held),
            epochs=epochs,
            budget=budget,
            seed=config.seed,
        )

    def fit_weights(self, first: int, end: int, histories: ranking.Histories | None) -> NDArray[np.float64]:
        """Weights of popularity, newness and histories on what was engaged on days first to end."""
        rows = self.rows.take((self.rows.day >= first) & (self.rows.day < end))
        novel = rows.take(rows.novel)
        rows = novel if len(novel) >= FEWEST else rows
        choices = ranking.design(self.log, rows, self.start, self.every, self.half_lives, histories)
        if not len(choices):
            raise NotEnoughData("nobody engaged an item that was known before", hint="import more events")
        return ranking.fit_weights(choices)[0]

    def windows(self, rows: ranking.Rows) -> NDArray[np.int32]:
        """(n,) the day before which popularity was counted last."""
        return rows.day // self.every * self.every

    def item_index(self, weights: Mapping[str, Any]) -> ranking.ItemIndex:
        """The items of now with their popularity of now."""
        now = np.array([self.now], np.int32)
        known = next(ranking.features(self.log, now, weights["half_lives"]))
        alone = np.asarray(weights["alone"]) @ known
        return ranking.ItemIndex(
            self.about.ids,
            self.about.titles,
            self.start,
            (np.asarray(weights["prior"], np.float32) @ known).astype(np.float32),
            (alone - np.logaddexp.reduce(alone)).astype(np.float32),
            self.engaged(),
            self.nearest,
        )


def gather(ws: Workspace, snapshot: LogSnapshot, met: bool = False) -> TrainingData:
    """Read items and engagements as of a moment.

    Args:
        met: of the items that an event has named by then alone: a catalogue holds others too, among them what
            comes later.
    """
    formed = committed(ws.store, "interests", snapshot.interests_version)
    counted = committed(ws.store, "transitions", snapshot.version)
    assigned = committed(ws.store, "assignments", TransitionsManifest.of(counted).inputs.assignment)
    items = committed(ws.store, "items", AssignmentManifest.of(assigned).inputs.items)
    about = interests.item_features(formed.path, assigned.path, items.path)
    days = events.EventLog(ws.source).snapshot(snapshot.as_of).days
    rule = events.parse(ws.config.events.positive).sql
    log = ranking.engagements([day.path for day in days], rule, about.ids)
    if met:
        named = log.first < ranking.UNSEEN
        about, log = about.take(named), log.among(named)
    novelty = ws.config.transitions.novelty_days
    rows = ranking.rows(log, about.interest, RECENT, None if novelty == "ever" else novelty)
    return TrainingData(
        about,
        np.searchsorted(about.interest, np.arange(len(snapshot.interests) + 1)),
        log,
        rows,
        _every(snapshot.scales, rows, len(about.ids)),
        _half_lives(snapshot.scales),
        ranking.nearest(interests.load_paths(formed.path), snapshot.interests.vectors),
        snapshot.as_of.day_number,
    )


def _latest(day: NDArray[np.int32], most: int, held: int | None) -> NDArray[np.int64]:
    """The last rows before day `held`, `most` of them, and of those from it on a quarter as many, evenly."""
    learned = np.flatnonzero(day < held) if held is not None else np.arange(len(day))
    later = np.arange(len(learned), len(day))
    thinned = later[:: max(1, -(-len(later) * 4 // most))]
    return np.concatenate([learned[max(0, len(learned) - most) :], thinned])


def co_engagement(log: ranking.Engagements, rows: ranking.Rows) -> NDArray[np.float32]:
    """(V, b) unit vectors of items that the same people engaged with; zero where nobody did."""
    early = log.before(int(rows.day[len(rows) // 2])) if len(rows) else log
    users = int(early.user.max(initial=-1)) + 1
    pairs = np.unique(np.stack([early.user, early.item.astype(np.int64)]), axis=1)
    engaged = scipy.sparse.csr_matrix((np.ones(pairs.shape[1]), tuple(pairs)), shape=(users, len(log.first)))
    return interests.co_engagement(engaged, 0).astype(np.float32)


def _every(scales: Scales, rows: ranking.Rows, items: int) -> int:
    """A third of a window, or more where the popularities would take too much room."""
    if not len(rows):
        return 1
    first, last = np.quantile(rows.day, (0.01, 0.99))  # the span is no matter of a row with a wrong date
    span = int(last - first) + 1
    return max(1, scales.window_days // 3, -(-span * items // CELLS))


def _half_lives(scales: Scales) -> tuple[float, ...]:
    """Those of the interests, and a shorter and a longer one."""
    return scales.half_lives[0] / 2, *scales.half_lives, scales.half_lives[-1] * 4
