"""What a ranker is taught and judged with: engagements, what came before each, and a held-out end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from freshet import events, interests, ranking, sequence
from freshet.config import RankerConfig
from freshet.errors import NotEnoughData
from freshet.ports import RankingJob
from freshet.scales import Scales
from freshet.steps.knowledge import Knowledge
from freshet.steps.sources import committed
from freshet.transitions.pool import day_number
from freshet.types import RankingWeights
from freshet.workspace import Workspace

RECENT = 20
"""Items of a history that are read."""

HELD = 0.2
"""Share of the rows that is held out, the last ones: half to stop and weigh on, half to judge on."""

FEWEST = 50
"""Rows that each half needs."""

CELLS = 8_000_000
"""Popularities that are kept at most: moments times items."""


@dataclass(frozen=True)
class Lessons:
    """Engagements before a moment and what they were chosen from.

    Attributes:
        about: the V items.
        start: (N + 1,) items of interest i are start[i] to start[i + 1].
        log: all engagements with them.
        rows: first engagements, those to learn from and those without a history.
        every: days from one moment at which popularity is counted to the next.
        half_lives: of popularity, in days.
        vectors: (V, a) what items are about, and who engaged with them in the earlier half of the log: to
            these the later half is news, as all that comes is to what serves.
        nearest: (N, N - 1) the other interests, nearest first.
        now: the day since 1970 that all lies before.
    """

    about: interests.About
    start: NDArray[np.int64]
    log: ranking.Engagements
    rows: ranking.Rows
    every: int
    half_lives: tuple[float, ...]
    vectors: NDArray[np.float32]
    nearest: NDArray[np.int16]
    now: int

    def engaged(self) -> NDArray[np.bool_]:
        """(V,) whether anybody engaged with the item."""
        return np.bincount(self.log.item, minlength=len(self.about.ids)) > 0

    def job(
        self,
        config: RankerConfig,
        offset: NDArray[np.float64],
        rows: ranking.Rows,
        held: int | None = None,
        passes: float = 0.0,
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
            prior=np.stack(prior) if prior else np.zeros((0, len(self.about.ids)), np.float32),
            there=there,
            start=self.start,
            vectors=self.vectors,
            later=None if held is None else np.flatnonzero(rows.day >= held),
            passes=passes,
            max_seconds=config.max_seconds,
            seed=config.seed,
        )

    def weigh(self, first: int, end: int, histories: ranking.Histories | None) -> NDArray[np.float64]:
        """Weights of popularity, newness and histories on what was engaged on days first to end."""
        rows = self.rows.take((self.rows.day >= first) & (self.rows.day < end))
        novel = rows.take(rows.novel)
        rows = novel if len(novel) >= FEWEST else rows
        choices = ranking.design(self.log, rows, self.start, self.every, self.half_lives, histories)
        if not len(choices):
            raise NotEnoughData("nobody engaged an item that was known before", hint="import more events")
        return ranking.weigh(choices)[0]

    def windows(self, rows: ranking.Rows) -> NDArray[np.int32]:
        """(n,) the day before which popularity was counted last."""
        return rows.day // self.every * self.every

    def shelves(self, weights: Mapping[str, Any]) -> ranking.Shelves:
        """The items of now with their popularity of now."""
        now = np.array([self.now], np.int32)
        known = next(ranking.features(self.log, now, weights["half_lives"]))
        alone = np.asarray(weights["alone"]) @ known
        return ranking.Shelves(
            self.about.ids,
            self.about.titles,
            self.start,
            (np.asarray(weights["prior"], np.float32) @ known).astype(np.float32),
            (alone - np.logaddexp.reduce(alone)).astype(np.float32),
            self.engaged(),
            self.nearest,
        )


def gather(ws: Workspace, known: Knowledge) -> Lessons:
    """Read items and engagements as of a moment."""
    formed = committed(ws, "interests", known.interests_version)
    counted = committed(ws, "transitions", known.version)
    assigned = committed(ws, "assignments", counted.manifest["inputs"]["assignment"])
    items = committed(ws, "items", assigned.manifest["inputs"]["items"])
    about = interests.about(formed.path, assigned.path, items.path)
    days = events.EventLog(ws.source).snapshot(known.as_of).days
    rule = events.parse(ws.config.events.positive).sql
    log = ranking.engagements([day.path for day in days], rule, about.ids)
    novelty = ws.config.transitions.novelty_days
    rows = ranking.rows(log, about.interest, RECENT, None if novelty == "ever" else novelty)
    return Lessons(
        about,
        np.searchsorted(about.interest, np.arange(len(known.interests) + 1)),
        log,
        rows,
        _every(known.scales, rows, len(about.ids)),
        _half_lives(known.scales),
        np.hstack([about.vectors, together(log, rows)]),
        ranking.nearest(interests.load_paths(formed.path), known.interests.vectors),
        day_number(str(known.as_of)),
    )


def _latest(day: NDArray[np.int32], most: int, held: int | None) -> NDArray[np.int64]:
    """The last rows before day `held`, `most` of them, and of those from it on a quarter as many, evenly."""
    learned = np.flatnonzero(day < held) if held is not None else np.arange(len(day))
    later = np.arange(len(learned), len(day))
    thinned = later[:: max(1, -(-len(later) * 4 // most))]
    return np.concatenate([learned[max(0, len(learned) - most) :], thinned])


def together(log: ranking.Engagements, rows: ranking.Rows) -> NDArray[np.float32]:
    """(V, b) unit vectors of items that the same people engaged with; zero where nobody did."""
    early = log.before(int(rows.day[len(rows) // 2])) if len(rows) else log
    users = int(early.user.max(initial=-1)) + 1
    pairs = np.unique(np.stack([early.user, early.item.astype(np.int64)]), axis=1)
    engaged = sparse.csr_matrix((np.ones(pairs.shape[1]), tuple(pairs)), shape=(users, len(log.first)))
    return interests.co_engagement(engaged, 0).astype(np.float32)


def _every(scales: Scales, rows: ranking.Rows, items: int) -> int:
    """A third of a window, or more where the popularities would take too much room."""
    if not len(rows):
        return 1
    span = int(rows.day[-1] - rows.day[0]) + 1
    return max(1, scales.window_days // 3, -(-span * items // CELLS))


def _half_lives(scales: Scales) -> tuple[float, ...]:
    """Those of the interests, and a shorter and a longer one."""
    return scales.half_lives[0] / 2, *scales.half_lives, scales.half_lives[-1] * 4


@dataclass(frozen=True)
class Held:
    """Lessons with a held-out end: learned from before `first`, weighed before `second`, judged after it."""

    lessons: Lessons
    first: int
    second: int

    @classmethod
    def of(cls, lessons: Lessons) -> Held:
        """Raises NotEnoughData where the end holds too few rows."""
        day = lessons.rows.day
        cuts = [int(len(day) * (1 - HELD)), int(len(day) * (1 - HELD / 2))]
        if len(day) * HELD / 2 < FEWEST:
            raise NotEnoughData(
                f"{len(day)} first engagements are too few to train and judge a ranker, "
                f"{round(2 * FEWEST / HELD)} are needed",
                hint="import more events, or set [ranker] use = false",
            )
        first, second = (int(day[cut]) for cut in cuts)
        if not int(day[0]) < first < second:
            raise NotEnoughData(
                "the engagements lie on too few days to hold some out", hint="import more events"
            )
        return cls(lessons, first, second)

    @cached_property
    def offset(self) -> NDArray[np.float64]:
        """(P + 1,) weights of popularity and newness, fitted on the last fifth of what is learned from."""
        day = self.lessons.rows.day
        earlier = day[day < self.first]
        return self.lessons.weigh(int(earlier[int(len(earlier) * (1 - HELD))]), self.first, None)

    def job(self, config: RankerConfig) -> RankingJob:
        """What lies before `second`; what follows on `first` tells when to stop."""
        rows = self.lessons.rows
        return self.lessons.job(config, self.offset, rows.take(rows.day < self.second), held=self.first)

    def judge(self, early: RankingWeights) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the early model reaches on the last rows; weights for the full one, fitted on all held out."""
        lessons, end = self.lessons, self.lessons.now
        said = histories(early)
        weights = lessons.weigh(self.first, self.second, said)
        best = self._best_half_life()
        rows = lessons.rows.take((lessons.rows.day >= self.second) & lessons.rows.novel)
        methods = {
            "ranker": ranked(lessons.half_lives, weights, said),
            "popularity": popular(best),
        }
        judged = ranking.judge(lessons.log, rows, lessons.start, lessons.windows(rows), methods)
        final = lessons.weigh(self.first, end, said)
        names = ranking.names(lessons.half_lives)
        return _told(judged, best), {
            "half_lives": list(lessons.half_lives),
            "features": list(names),
            "prior": final[:-1].tolist(),
            "histories": float(final[-1]),
            "alone": lessons.weigh(self.first, end, None).tolist(),
            "best_half_life": best,
        }

    def _best_half_life(self) -> float:
        """With which popularity alone does best before what is judged."""
        lessons = self.lessons
        day = lessons.rows.day
        rows = lessons.rows.take((day >= self.first) & (day < self.second) & lessons.rows.novel)
        methods = {f"{life}": popular(life) for life in lessons.half_lives}
        judged = ranking.judge(lessons.log, rows, lessons.start, lessons.windows(rows), methods)
        return max(lessons.half_lives, key=lambda life: float(judged.hit[f"{life}"].sum()))


def histories(weights: RankingWeights) -> ranking.Histories:
    """What a trained network says of all items."""
    model = sequence.SequenceModel(weights.sequence)
    return lambda recent: np.asarray(model.states(recent) @ weights.sequence.embedding.T)


def ranked(
    half_lives: Sequence[float], weights: NDArray[np.float64], said: ranking.Histories | None
) -> ranking.Score:
    """The weighed sum of what is known beforehand and, as the last one, what histories say."""

    def score(log: ranking.Engagements, day: int, rows: ranking.Rows) -> NDArray[np.floating[Any]]:
        known = next(ranking.features(log, np.array([day], np.int32), half_lives))
        prior = weights[: len(known)].astype(np.float32) @ known
        if said is None:
            return np.broadcast_to(prior, (len(rows), len(prior)))
        return np.asarray(prior + np.float32(weights[-1]) * said(rows.recent))

    return score


def popular(half_life: float) -> ranking.Score:
    """Popularity at one half-life."""

    def score(log: ranking.Engagements, day: int, rows: ranking.Rows) -> NDArray[np.floating[Any]]:
        counted = next(ranking.popularity(log, np.array([day], np.int32), [half_life]))[0]
        return np.broadcast_to(counted, (len(rows), len(counted)))

    return score


def _told(judged: ranking.Judged, half_life: float) -> dict[str, Any]:
    """Figures of the report."""
    found: dict[str, Any] = {
        "transitions": len(judged),
        "users": len(np.unique(judged.user)),
        "popularity_half_life": half_life,
    }
    for measure, values in (("hit@10", judged.hit), ("ndcg@10", judged.gain)):
        found[measure] = {name: ranking.interval(values[name], judged.user) for name in values} | {
            "difference": ranking.interval(values["ranker"] - values["popularity"], judged.user)
        }
    return found
