"""What reactions are worth beside the score: learned early, tested on what came next, again and again.

Outcomes are cut in time into blocks. Each block is predicted by lifts learned from all that came before it,
with the pseudo-successes that did best until then; weights are fitted on all that was predicted so. What
serves is learned from everything.

A nat of score is taken to be worth a nat of odds. It was fitted to less; but what is shown to one user scores
much alike, so that the fit compares users, and would let reactions outweigh what sets proposals apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import NotEnoughData
from freshet.core.types import Outcomes
from freshet.experiments.feedback.format import Feedback
from freshet.experiments.feedback.lifts import PLACES, by_place, learn, level, ratio_of
from freshet.experiments.stats.logistic import Fitted, fit, losses

PRIOR_COUNTS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Pseudo-successes tried, about evenly spaced on the log scale."""
BLOCKS = 6
"""The first is only learned from, the second chooses only; weights are fitted on the others."""
FEWEST = 20
"""Satisfied outcomes, and others, that every block must hold."""
PARTS = ("own", "lift")
"""What reactions say: how well a successor is taken anywhere, and how much better after a context."""

Origin = tuple[Outcomes, Outcomes]
"""Outcomes before a moment, and the block that follows."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`k`: length of the longest context looked at; `proposals`: how many of the best are re-ordered."""

    k: int
    proposals: int


@dataclass(frozen=True)
class Calibrated:
    """Feedback as of now, and what was found.

    Attributes:
        feedback: with the parts whose weight is significantly above zero; None where none is.
        fitted: log-odds of a satisfied outcome by place, score and both parts.
        prior_counts: pseudo-successes of the successor's own level, then of suffixes of length 1..k.
        gain: change of nats per outcome by both parts (value, low, high), negative = they help; 95 % interval
            clustered by user. The weights are fitted on the same outcomes, which flatters them a little.
    """

    feedback: Feedback | None
    fitted: Fitted
    prior_counts: tuple[float, ...]
    gain: tuple[float, float, float]


def calibrate(outcomes: Outcomes, settings: Settings) -> Calibrated:
    """Lifts from outcomes in the order of time, and their weights beside the score.

    Raises:
        NotEnoughData: a block holds too few outcomes of either kind.
    """
    origins = _origins(outcomes)
    chosen_then = [choose_prior_counts(origins[:now], settings.k) for now in range(1, len(origins))]
    later = _later_outcomes(origins[1:], chosen_then)
    fitted, prior_counts = later.fit(PARTS), choose_prior_counts(origins, settings.k)
    used = fitted
    while (parts := [name for name in PARTS if name in used.names]) and _low(used, parts) <= 0:
        least = min(parts, key=lambda name: _low(used, [name]))  # one at a time: the other may gain by it
        used = later.fit([name for name in parts if name != least])
    feedback = None
    if parts:
        own, lift = (float(used.as_dict()[name]["weight"]) if name in parts else 0.0 for name in PARTS)
        feedback = Feedback(learn(outcomes, prior_counts), own, lift, settings.proposals)
    return Calibrated(feedback, fitted, prior_counts, later.gain(fitted))


def _low(fitted: Fitted, names: Sequence[str]) -> float:
    return min(fitted.as_dict()[name]["low"] for name in names)


def choose_prior_counts(origins: Sequence[Origin], k: int) -> tuple[float, ...]:
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
                _deeper(origin, known, length, prior_count)
                for origin, known in zip(origins, expected, strict=True)
            ]
            for prior_count in PRIOR_COUNTS
        ]
        likelihood = [
            sum(_likelihood(now[1], block.reward) for now, (_, block) in zip(one, origins, strict=True))
            for one in tried
        ]
        best = int(np.argmax(likelihood))
        chosen.append(PRIOR_COUNTS[best])
        expected = tried[best]
    return tuple(chosen)


def _deeper(
    origin: Origin, expected: list[NDArray[np.float64]], length: int, prior_count: float
) -> list[NDArray[np.float64]]:
    """Chances of a satisfied outcome, of what came before and of the block, with one more level."""
    found = level(origin[0], expected[0], length, prior_count)
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


@dataclass(frozen=True)
class _LaterOutcomes:
    """Outcomes to be predicted: features by name, each (n,), rewards and users."""

    features: dict[str, NDArray[np.float64]]
    reward: NDArray[np.bool_]
    user: NDArray[np.uint64]

    def fit(self, parts: Sequence[str]) -> Fitted:
        """Weights of place and score, and of some parts of what reactions say."""
        names = [name for name in self.features if name in parts or name not in PARTS]
        return fit(names, self._matrix(names), self.reward, self.user)

    def gain(self, fitted: Fitted) -> tuple[float, float, float]:
        """What the parts change about the loss."""
        without = self.fit(())
        losses_ = [losses(self._matrix(one.names), self.reward, one.weights) for one in (fitted, without)]
        change = losses_[0] - losses_[1]
        mean, error = float(change.mean()), clustered_error(change, self.user)
        return mean, mean - 1.96 * error, mean + 1.96 * error

    def _matrix(self, names: Sequence[str]) -> NDArray[np.float64]:
        return np.column_stack([self.features[name] for name in names]).astype(np.float64)


def _later_outcomes(origins: Sequence[Origin], prior_counts: Sequence[tuple[float, ...]]) -> _LaterOutcomes:
    """The blocks, with what was known before each; `prior_counts` are pseudo-successes for each origin."""
    blocks = [block for _, block in origins]
    lifts = [learn(before, known) for (before, _), known in zip(origins, prior_counts, strict=True)]
    place = np.minimum(np.concatenate([block.place for block in blocks]), PLACES - 1)
    features = {f"place_{at}": (place == at).astype(np.float64) for at in np.unique(place)}
    features |= {
        "score": np.concatenate([block.score for block in blocks]),
        "own": np.concatenate([one.own(b.shown) for one, b in zip(lifts, blocks, strict=True)]),
        "lift": np.concatenate([one.of(b.context, b.shown) for one, b in zip(lifts, blocks, strict=True)]),
    }
    reward, user = (np.concatenate([getattr(b, name) for b in blocks]) for name in ("reward", "user"))
    return _LaterOutcomes(features, reward, user)


def clustered_error(values: NDArray[np.float64], user: NDArray[np.uint64]) -> float:
    """Standard error of a mean whose terms are independent between users only."""
    _, place = np.unique(user, return_inverse=True)
    return float(np.sqrt(np.square(np.bincount(place, values - values.mean())).sum()) / len(values))
