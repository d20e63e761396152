"""What reactions are worth beside the score: learned early, tested on what came later.

Outcomes are cut in time: lifts are learned from the first part, the pseudo-successes chosen on the second,
the weight fitted on the third with lifts from both parts before it. What serves is learned from all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from freshet.errors import NotEnoughData
from freshet.feedback.lifts import PLACES, by_place, learn, level, levels, ratio_of
from freshet.feedback.logistic import Fitted, fit, losses
from freshet.feedback.proposals import Feedback
from freshet.types import Outcomes

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Pseudo-successes tried, about evenly spaced on the log scale."""
CUTS = 0.6, 0.8
"""Shares of the outcomes that lie before the second part, and before the third."""
FEWEST = 20
"""Satisfied outcomes, and unsatisfied ones, that every part must hold."""
LEAST_SLOPE = 0.1
"""Nats of odds that a nat of score is taken to be worth, at least: bounds what a lift is worth in scores."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`k`: length of the longest context looked at; `proposals`: how many of the best are re-ordered."""

    k: int
    proposals: int


@dataclass(frozen=True)
class Weighed:
    """Feedback as of now, and what was found.

    Attributes:
        feedback: None where the weight isn't significantly above zero.
        fitted: log-odds of a satisfied outcome by place, how well the successor is taken anywhere, score and
            lift; `lift` is the one that counts.
        strengths: pseudo-successes of the successor's own level, then of suffixes of length 1..k.
        gain: change of nats per later outcome by the lifts (value, low, high), negative = they help; 95 %
            interval clustered by user. The one weight is fitted on the same outcomes.
    """

    feedback: Feedback | None
    fitted: Fitted
    strengths: tuple[float, ...]
    gain: tuple[float, float, float]


def weigh(outcomes: Outcomes, settings: Settings) -> Weighed:
    """Learn lifts from outcomes in the order of time, and weigh them.

    Raises:
        NotEnoughData: a part holds too few outcomes of either kind.
    """
    early, middle, late = _parts(outcomes)
    strengths = choose_strengths(early, middle, settings.k)
    before = outcomes.take(outcomes.time < late.time[0])
    fitted, gain = _judge(late, before, strengths)
    slope, lift = (fitted.names.index(name) for name in ("score", "lift"))
    if fitted.low[lift] <= 0:
        return Weighed(None, fitted, strengths, gain)
    weight = float(fitted.weights[lift] / max(float(fitted.weights[slope]), LEAST_SLOPE))
    feedback = Feedback(learn(outcomes, strengths), weight, settings.proposals)
    return Weighed(feedback, fitted, strengths, gain)


def choose_strengths(early: Outcomes, later: Outcomes, k: int) -> tuple[float, ...]:
    """Pseudo-successes for each level, chosen one after the other by the likelihood of later outcomes."""
    place = np.minimum(early.place, PLACES - 1), np.minimum(later.place, PLACES - 1)
    rates = by_place(early)
    expected, foreseen = rates[place[0]], rates[place[1]]
    chosen: list[float] = []
    for length in range(k + 1):
        tried = []
        for strength in STRENGTHS:
            keys, ratios = level(early, expected, length, strength)
            tried.append(foreseen * ratio_of(keys, ratios, later, length))
        best = int(np.argmax([_likelihood(odds, later.reward) for odds in tried]))
        chosen.append(STRENGTHS[best])
        foreseen = tried[best]
        expected = expected * ratio_of(*level(early, expected, length, STRENGTHS[best]), early, length)
    return tuple(chosen)


def _likelihood(chance: NDArray[np.float64], reward: NDArray[np.bool_]) -> float:
    chance = np.clip(chance, 1e-6, 1 - 1e-6)
    return float(np.log(np.where(reward, chance, 1 - chance)).sum())


def _parts(outcomes: Outcomes) -> Sequence[Outcomes]:
    """The three parts; rows of one moment stay together."""
    size, time = len(outcomes), outcomes.time
    cuts = [int(np.searchsorted(time, time[int(size * cut)])) for cut in CUTS] if size else [0, 0]
    bounds = [0, *cuts, size]
    parts = [outcomes.take(slice(*ends)) for ends in pairwise(bounds)]
    if min(min(int(part.reward.sum()), int((~part.reward).sum())) for part in parts) < FEWEST:
        raise NotEnoughData(
            f"{size} outcomes of what was shown, {int(outcomes.reward.sum())} of them satisfied, are too few",
            hint=f"each of three parts in time needs {FEWEST} satisfied ones and {FEWEST} others",
        )
    return parts


def _judge(
    late: Outcomes, before: Outcomes, strengths: Sequence[float]
) -> tuple[Fitted, tuple[float, float, float]]:
    """Weights of score and lift on later outcomes, and what the lift changes about their loss.

    The successor's own ratio stands beside them: shrunk as it is, it leaves something of itself in the lifts.
    """
    place = np.minimum(late.place, PLACES - 1)
    used = np.unique(place)
    own, lifts = levels(before, strengths[:1])[0], learn(before, strengths)
    columns = [
        *(place == at for at in used),
        np.log(ratio_of(*own, late, 0)),
        late.score,
        lifts.of(late.context, late.shown),
    ]
    names = (*(f"place_{at}" for at in used), "successor", "score", "lift")
    features = np.stack(columns, axis=1).astype(np.float64)
    fitted = fit(names, features, late.reward, late.user)
    without = fit(names[:-1], features[:, :-1], late.reward, late.user)
    change = losses(features, late.reward, fitted.weights) - losses(
        features[:, :-1], late.reward, without.weights
    )
    mean, error = float(change.mean()), clustered_error(change, late.user)
    return fitted, (mean, mean - 1.96 * error, mean + 1.96 * error)


def clustered_error(values: NDArray[np.float64], user: NDArray[np.uint64]) -> float:
    """Standard error of a mean whose terms are independent between users only."""
    _, place = np.unique(user, return_inverse=True)
    return float(np.sqrt(np.square(np.bincount(place, values - values.mean())).sum()) / len(values))
