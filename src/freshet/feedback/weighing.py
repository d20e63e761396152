"""What reactions are worth beside the score: learned early, tested on what came next, again and again.

Outcomes are cut in time into blocks. Each block is judged by lifts learned from all that came before it, with
the pseudo-successes that did best until then; the weight is fitted on all that was judged so. What serves is
learned from everything.
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
BLOCKS = 6
"""The first is only learned from, the second chooses only; weights are fitted on the others."""
FEWEST = 20
"""Satisfied outcomes, and others, that every block must hold."""
LEAST_SLOPE = 0.1
"""Nats of odds that a nat of score is taken to be worth, at least: bounds what a lift is worth in scores."""

Origin = tuple[Outcomes, Outcomes]
"""Outcomes before a moment, and the block that follows."""


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
        gain: change of nats per outcome by the lifts (value, low, high), negative = they help; 95 % interval
            clustered by user. The one weight is fitted on the same outcomes, which flatters it a little.
    """

    feedback: Feedback | None
    fitted: Fitted
    strengths: tuple[float, ...]
    gain: tuple[float, float, float]


def weigh(outcomes: Outcomes, settings: Settings) -> Weighed:
    """Learn lifts from outcomes in the order of time, and weigh them.

    Raises:
        NotEnoughData: a block holds too few outcomes of either kind.
    """
    origins = _origins(outcomes)
    known_then = [choose_strengths(origins[:now], settings.k) for now in range(1, len(origins))]
    fitted, gain = _judge(origins[1:], known_then)
    slope, lift = (fitted.names.index(name) for name in ("score", "lift"))
    strengths = choose_strengths(origins, settings.k)
    if fitted.low[lift] <= 0:
        return Weighed(None, fitted, strengths, gain)
    weight = float(fitted.weights[lift] / max(float(fitted.weights[slope]), LEAST_SLOPE))
    feedback = Feedback(learn(outcomes, strengths), weight, settings.proposals)
    return Weighed(feedback, fitted, strengths, gain)


def choose_strengths(origins: Sequence[Origin], k: int) -> tuple[float, ...]:
    """Pseudo-successes for each level, chosen one after the other by the likelihood of what came next."""
    rates = [by_place(before) for before, _ in origins]
    expected = [
        [rate[np.minimum(part.place, PLACES - 1)] for part in origin]
        for rate, origin in zip(rates, origins, strict=True)
    ]
    chosen: list[float] = []
    for length in range(k + 1):
        tried = [
            [
                _deeper(origin, known, length, strength)
                for origin, known in zip(origins, expected, strict=True)
            ]
            for strength in STRENGTHS
        ]
        likelihood = [
            sum(_likelihood(now[1], block.reward) for now, (_, block) in zip(one, origins, strict=True))
            for one in tried
        ]
        best = int(np.argmax(likelihood))
        chosen.append(STRENGTHS[best])
        expected = tried[best]
    return tuple(chosen)


def _deeper(
    origin: Origin, expected: list[NDArray[np.float64]], length: int, strength: float
) -> list[NDArray[np.float64]]:
    """Chances of a satisfied outcome, of what came before and of the block, with one more level."""
    found = level(origin[0], expected[0], length, strength)
    return [known * ratio_of(*found, part, length) for known, part in zip(expected, origin, strict=True)]


def _likelihood(chance: NDArray[np.float64], reward: NDArray[np.bool_]) -> float:
    chance = np.clip(chance, 1e-6, 1 - 1e-6)
    return float(np.log(np.where(reward, chance, 1 - chance)).sum())


def _origins(outcomes: Outcomes) -> list[Origin]:
    """Every block but the first, with all that came before; rows of one moment stay together."""
    size, time = len(outcomes), outcomes.time
    cuts = [int(np.searchsorted(time, time[size * n // BLOCKS])) if size else 0 for n in range(1, BLOCKS)]
    blocks = [outcomes.take(slice(*ends)) for ends in pairwise([0, *cuts, size])]
    if min(min(int(block.reward.sum()), int((~block.reward).sum())) for block in blocks) < FEWEST:
        raise NotEnoughData(
            f"{size} outcomes of what was shown, {int(outcomes.reward.sum())} of them satisfied, are too few",
            hint=f"each of {BLOCKS} parts in time needs {FEWEST} satisfied ones and {FEWEST} others",
        )
    return [(outcomes.take(slice(0, cut)), block) for cut, block in zip(cuts, blocks[1:], strict=True)]


def _judge(
    origins: Sequence[Origin], strengths: Sequence[tuple[float, ...]]
) -> tuple[Fitted, tuple[float, float, float]]:
    """Weights of score and lift on what came next, and what the lift changes about its loss.

    The successor's own ratio stands beside them: shrunk as it is, it leaves something of itself in the lifts.

    Args:
        strengths: pseudo-successes for each origin.
    """
    reward = np.concatenate([block.reward for _, block in origins])
    user = np.concatenate([block.user for _, block in origins])
    place = np.minimum(np.concatenate([block.place for _, block in origins]), PLACES - 1)
    beside = np.concatenate(
        [_features(*origin, known) for origin, known in zip(origins, strengths, strict=True)]
    )
    used = np.unique(place)
    features = np.column_stack([*(place == at for at in used), beside]).astype(np.float64)
    names = (*(f"place_{at}" for at in used), "successor", "score", "lift")
    fitted = fit(names, features, reward, user)
    without = fit(names[:-1], features[:, :-1], reward, user)
    change = losses(features, reward, fitted.weights) - losses(features[:, :-1], reward, without.weights)
    mean, error = float(change.mean()), clustered_error(change, user)
    return fitted, (mean, mean - 1.96 * error, mean + 1.96 * error)


def _features(before: Outcomes, block: Outcomes, strengths: Sequence[float]) -> NDArray[np.float64]:
    """(n, 3) log-ratio of the successor, score and lift of a block."""
    own = levels(before, strengths[:1])[0]
    lifts = learn(before, strengths).of(block.context, block.shown)
    return np.column_stack([np.log(ratio_of(*own, block, 0)), block.score, lifts])


def clustered_error(values: NDArray[np.float64], user: NDArray[np.uint64]) -> float:
    """Standard error of a mean whose terms are independent between users only."""
    _, place = np.unique(user, return_inverse=True)
    return float(np.sqrt(np.square(np.bincount(place, values - values.mean())).sum()) / len(values))
