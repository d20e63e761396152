"""A held-out end of the log: when to stop training a ranker, the weights of its parts, how well it ranks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.config import RankerConfig
from freshet.core.errors import NotEnoughData
from freshet.core.ports import Budget, RankingJob
from freshet.core.types import RankingWeights
from freshet.stages import items as ranking
from freshet.stages import sequence
from freshet.stages.items.training_data import FEWEST, TrainingData

HELD = 0.2
"""Share of rows held out, the last ones: half to stop training and fit weights on, half to evaluate on."""


@dataclass(frozen=True)
class Held:
    """Rows with a held-out end: train before `first`, fit weights before `second`, evaluate later."""

    data: TrainingData
    first: int
    second: int

    @classmethod
    def of(cls, data: TrainingData) -> Held:
        """Raises NotEnoughData where the end holds too few rows."""
        day = data.rows.day
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
        return cls(data, first, second)

    @cached_property
    def offset(self) -> NDArray[np.float64]:
        """(P + 1,) weights of popularity and newness, fitted on the last fifth of the training rows."""
        day = self.data.rows.day
        earlier = day[day < self.first]
        return self.data.fit_weights(int(earlier[int(len(earlier) * (1 - HELD))]), self.first, None)

    def job(self, config: RankerConfig, budget: Budget) -> RankingJob:
        """What lies before `second`; what follows on `first` tells when to stop."""
        rows = self.data.rows
        return self.data.job(config, budget, self.offset, rows.take(rows.day < self.second), held=self.first)

    def evaluate(self, early: RankingWeights) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the early model reaches on the last rows; weights for the full one, fitted on all held out."""
        data, end = self.data, self.data.now
        history_scores = histories(early)
        weights = data.fit_weights(self.first, self.second, history_scores)
        best = self._best_half_life()
        rows = data.rows.take((data.rows.day >= self.second) & data.rows.novel)
        methods = {
            "ranker": ranked(data.half_lives, weights, history_scores),
            "popularity": popular(best),
        }
        evaluated = ranking.evaluate(data.log, rows, data.start, data.windows(rows), methods)
        final = data.fit_weights(self.first, end, history_scores)
        names = ranking.names(data.half_lives)
        return _summary(evaluated, best), {
            "half_lives": list(data.half_lives),
            "features": list(names),
            "prior": final[:-1].tolist(),
            "histories": float(final[-1]),
            "alone": data.fit_weights(self.first, end, None).tolist(),
            "best_half_life": best,
        }

    def _best_half_life(self) -> float:
        """With which popularity alone does best before what is judged."""
        data = self.data
        day = data.rows.day
        rows = data.rows.take((day >= self.first) & (day < self.second) & data.rows.novel)
        methods = {f"{life}": popular(life) for life in data.half_lives}
        evaluated = ranking.evaluate(data.log, rows, data.start, data.windows(rows), methods)
        return max(data.half_lives, key=lambda life: float(evaluated.hit[f"{life}"].sum()))


def histories(weights: RankingWeights) -> ranking.Histories:
    """What a trained network says of all items."""
    model = sequence.SequenceModel(weights.sequence)
    return lambda recent: np.asarray(model.states(recent) @ weights.sequence.embedding.T)


def ranked(
    half_lives: Sequence[float], weights: NDArray[np.float64], history_scores: ranking.Histories | None
) -> ranking.Score:
    """Weighted sum of popularity and newness and, with the last weight, of what the histories score."""

    def score(log: ranking.Engagements, day: int, rows: ranking.Rows) -> NDArray[np.floating[Any]]:
        known = next(ranking.features(log, np.array([day], np.int32), half_lives))
        prior = weights[: len(known)].astype(np.float32) @ known
        if history_scores is None:
            return np.broadcast_to(prior, (len(rows), len(prior)))
        return np.asarray(prior + np.float32(weights[-1]) * history_scores(rows.recent))

    return score


def popular(half_life: float) -> ranking.Score:
    """Popularity at one half-life."""

    def score(log: ranking.Engagements, day: int, rows: ranking.Rows) -> NDArray[np.floating[Any]]:
        counted = next(ranking.popularity(log, np.array([day], np.int32), [half_life]))[0]
        return np.broadcast_to(counted, (len(rows), len(counted)))

    return score


def _summary(evaluated: ranking.Evaluated, half_life: float) -> dict[str, Any]:
    """Figures of the report."""
    found: dict[str, Any] = {
        "transitions": len(evaluated),
        "users": len(np.unique(evaluated.user)),
        "popularity_half_life": half_life,
    }
    for measure, values in (("hit@10", evaluated.hit), ("ndcg@10", evaluated.gain)):
        found[measure] = {name: ranking.interval(values[name], evaluated.user) for name in values} | {
            "difference": ranking.interval(values["ranker"] - values["popularity"], evaluated.user)
        }
    return found
