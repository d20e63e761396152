"""What another policy would have earned, from what was logged under the one that chose.

A row is a decision: the action taken, its probability under the logging policy (the propensity) and under the
target policy, and the reward. Weight w = target / propensity. Three estimates of the target's mean reward
(Dudik, Langford and Li 2011; Swaminathan and Joachims 2015):

- `ips`: mean of w r; unbiased, if every action of the target could have been logged.
- `self_normalised`: sum of w r / sum of w; slightly biased, far steadier where weights vary.
- `doubly_robust`: mean of E_target[q] + w (r - q), q being a model's reward. Unbiased whatever q says, and
  steady where q is good. Fit q on other users (or earlier days): on the same ones it is too sure of itself.

Intervals are clustered by user, and lopsided where rewards are few (`rare_rewards`). They are about what
could be logged alone; `Support` says how much of the target that is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import InputError
from freshet.experiments.stats.effects import Estimate, ratio
from freshet.experiments.stats.moments import Moments
from freshet.experiments.stats.rare_rewards import difference, skewed

FEW = 100
"""Effective rows below which intervals are not to be trusted."""
FEW_REWARDS = 10
"""Effective rewards below which an interval holds, and is too wide to say much."""
SURE = 3.0
"""Standard errors by which the mean weight must be off 1 to be spoken of."""


@dataclass(frozen=True, slots=True, eq=False)
class Logged:
    """n logged decisions.

    Attributes:
        user: (n,) who was shown the action.
        reward: (n,)
        propensity: (n,) chance that the logging policy took this action, in (0, 1].
        target: (n,) chance that the target policy would take it here.
        model: (n,) q of the action taken, for `doubly_robust`; None without a model.
        expected: (n,) mean of q over the target's actions here; with `model`.
        unseen: (n,) share of the target's actions here that could not be logged; None if it isn't known.
    """

    user: NDArray[np.uint64]
    reward: NDArray[np.float64]
    propensity: NDArray[np.float64]
    target: NDArray[np.float64]
    model: NDArray[np.float64] | None = None
    expected: NDArray[np.float64] | None = None
    unseen: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        n = len(self.reward)
        for name in ("user", "propensity", "target", "model", "expected", "unseen"):
            column = getattr(self, name)
            if column is not None and len(column) != n:
                raise InputError(f"off-policy: {name} has {len(column)} rows, reward has {n}")
        if not n:
            raise InputError("off-policy: nothing was logged", hint="Explore, and log propensities, first.")
        _demand(self.propensity, (self.propensity > 0) & (self.propensity <= 1), "propensity", "in (0, 1]")
        _demand(self.target, (self.target >= 0) & (self.target <= 1), "target probability", "in [0, 1]")
        _demand(self.reward, np.isfinite(self.reward), "reward", "finite")


def _demand(values: NDArray[np.float64], good: NDArray[np.bool_], name: str, wanted: str) -> None:
    bad = np.flatnonzero(~good)
    if len(bad):
        raise InputError(
            f"off-policy: row {bad[0]}: {name} is {values[bad[0]]}, expected {wanted} ({len(bad)} such rows)",
            hint="Leave rows out that were not chosen at random by the logging policy, and say how many.",
        )


@dataclass(frozen=True, slots=True)
class Support:
    """How much of the target was logged.

    Attributes:
        rows, users: behind the estimate.
        effective: rows that would say as much at equal weights, (sum w)^2 / sum w^2.
        largest: the largest weight, before any is clipped.
        covered: mean weight, before any is clipped: share of the target's actions that could be logged. 1 but
            for chance where all could.
        unseen: the rest by the target's own probabilities, None where it isn't known.
        clipped: share of rows whose weight was cut.
        cut: share of all weight that was cut off; the estimate is biased by that share of the reward.
        effective_rewards: rewards that would say as much at equal weights, (sum w r)^2 / sum (w r)^2: where
            rewards are rare, an interval stands on these.
    """

    rows: int
    users: int
    effective: float
    largest: float
    covered: Estimate
    unseen: float | None
    clipped: float
    cut: float
    effective_rewards: float


@dataclass(frozen=True, slots=True)
class OffPolicy:
    """The target's mean reward, its difference from the logged one (paired), and what they stand on."""

    value: Estimate
    lift: Estimate
    support: Support
    note: str


def ips(logged: Logged, *, most: float | None = None, level: float = 0.95) -> OffPolicy:
    """Inverse propensity scoring; weights above `most` are cut to it."""
    weight = _clipped(logged, most)
    return _estimated(logged, weight * logged.reward, np.ones(len(weight)), weight, level)


def self_normalised(logged: Logged, *, most: float | None = None, level: float = 0.95) -> OffPolicy:
    """IPS over the sum of weights: the mean reward of those of the target's actions that could be logged."""
    weight = _clipped(logged, most)
    return _estimated(logged, weight * logged.reward, weight, weight, level)


def doubly_robust(logged: Logged, *, most: float | None = None, level: float = 0.95) -> OffPolicy:
    """The model's expectation, corrected by IPS of what the model got wrong.

    Raises:
        InputError: there is no model.
    """
    if logged.model is None or logged.expected is None:
        raise InputError(
            "off-policy: doubly robust needs `model` and `expected`", hint="Use `self_normalised` without."
        )
    weight = _clipped(logged, most)
    score = logged.expected + weight * (logged.reward - logged.model)
    return _estimated(logged, score, np.ones(len(weight)), weight, level)


def _clipped(logged: Logged, most: float | None) -> NDArray[np.float64]:
    weight = logged.target / logged.propensity
    return weight if most is None else np.minimum(weight, most)


def _estimated(
    logged: Logged,
    score: NDArray[np.float64],
    over: NDArray[np.float64],
    weight: NDArray[np.float64],
    level: float,
) -> OffPolicy:
    """sum(score) / sum(over), and its difference from the mean logged reward."""
    ones = np.ones(len(score))
    by_user = _by_user(logged.user, score, over, logged.reward, ones)  # (users, 4)
    value, was = ratio(Moments.of(by_user[:, :2]), level), ratio(Moments.of(by_user[:, 2:]), level)
    mean = by_user.mean(axis=0)
    parts = [
        (by_user[:, 2 * i] - one.value * by_user[:, 2 * i + 1]) / mean[2 * i + 1]
        if mean[2 * i + 1]
        else np.nan
        for i, one in enumerate((value, was))
    ]
    apart = ratio(Moments.of(value.value - was.value + parts[0] - parts[1]), level)
    support = _support(logged, weight, len(by_user), level)
    if len(by_user) > 1 and logged.reward.min() >= 0 and weight.any():
        most = float(logged.reward.max()) or 1.0
        earned = float(weight @ logged.reward) / float(over.sum())
        typical = float(weight @ weight) / float(weight.sum())  # of what the target would take
        value = skewed(value, earned, typical * most / float(over.sum()), level)
        was = skewed(was, was.value, most / len(weight), level)
        apart = difference(value, was, apart)
    return OffPolicy(value, apart, support, _note(support))


def _by_user(user: NDArray[np.uint64], *columns: NDArray[np.float64]) -> NDArray[np.float64]:
    """(users, columns) sums over each user's rows."""
    _, number = np.unique(user, return_inverse=True)
    return np.column_stack([np.bincount(number, column) for column in columns])


def _support(logged: Logged, weight: NDArray[np.float64], users: int, level: float) -> Support:
    whole = logged.target / logged.propensity
    squares, earned = float(weight @ weight), weight * logged.reward
    covered = ratio(Moments.of(_by_user(logged.user, whole, np.ones(len(whole)))), level)
    return Support(
        rows=len(whole),
        users=users,
        effective=float(weight.sum()) ** 2 / squares if squares else 0.0,
        largest=float(whole.max()),
        covered=covered,
        unseen=None if logged.unseen is None else float(logged.unseen.mean()),
        clipped=float((weight < whole).mean()),
        cut=1 - float(weight.sum() / whole.sum()) if squares else 0.0,
        effective_rewards=float(earned.sum()) ** 2 / float(earned @ earned) if earned.any() else 0.0,
    )


def _note(support: Support) -> str:
    """What to know before reading the estimate: the gravest alone."""
    if not support.effective:
        return "the target takes none of the logged actions: nothing can be said"
    slack = SURE * math.sqrt(support.covered.variance) + 1e-9 if support.users > 1 else math.inf
    if support.covered.value > 1 + slack:
        return f"weights average {support.covered.value:.2f}, above 1: are these the real propensities?"
    if support.covered.value < 1 - slack:
        return f"about {1 - support.covered.value:.0%} of the target's actions could not be logged: left out"
    if support.effective < FEW:
        return f"the rows are worth {support.effective:.0f} at equal weights: too few to trust the interval"
    if support.effective_rewards < FEW_REWARDS:
        return f"the rewards are worth {support.effective_rewards:.0f} at equal weights: little is known"
    if support.cut:
        return f"{support.cut:.1%} of the weight was cut off: IPS is biased by that share of the reward"
    return ""
