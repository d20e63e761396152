"""From an experiment's moments to what can be said: effects with intervals, and how far to believe them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from freshet.experiments.effects import Effect, Estimate, effect, ratio
from freshet.experiments.families import SampleRatio, holm, sample_ratio
from freshet.experiments.moments import Moments
from freshet.experiments.sequential import always_valid, always_valid_p, mixing
from freshet.steps.measures import Metric
from freshet.steps.measuring import Measured

Verdict = Literal[
    "better", "worse", "better at the planned end", "worse at the planned end", "unclear", "no figure"
]

FOUND = 1.959964 + 0.841621
"""Standard errors that an effect must measure to be found with a power of 80 %."""

GROWTH = 4
"""So many times the first day's information is where intervals at every look are narrowest unless told."""


@dataclass(frozen=True, slots=True)
class Look:
    """A relative effect by the end of a day; `always` is None where it was taken from one day alone."""

    day: str
    control: float
    value: float
    effect: float
    low: float
    high: float
    always: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Compared:
    """An arm against control, by one metric.

    Attributes:
        control, value: the metric in control and in the arm (value, low, high).
        effect: relative; 0.01 = 1 % more than control.
        fixed: its interval, for one look at an end that was planned.
        always: its interval that holds at every look.
        p, p_always: of no effect, for the same two ways to look; `holm` of each: adjusted for all metrics.
        detectable: relative effect that is found with a power of 80 % by now.
        sought: relative effect about which the interval at every look is narrowest.
        saved: share of variance that what users did before took away (CUPED).
        note: why a figure is missing or rough.
        daily, cumulative: the same by day, and of all days so far.
    """

    metric: str
    arm: str
    control: tuple[float, float, float]
    value: tuple[float, float, float]
    effect: float
    fixed: tuple[float, float]
    always: tuple[float, float]
    p: float
    p_holm: float
    p_always: float
    p_always_holm: float
    detectable: float
    sought: float
    saved: float
    verdict: Verdict
    note: str
    daily: tuple[Look, ...]
    cumulative: tuple[Look, ...]


def ratio_of_users(measured: Measured) -> SampleRatio:
    """Whether users are split among the arms as was meant."""
    arms = measured.experiment.arms
    users = np.bincount(measured.exposures.users.arm, minlength=len(arms)).tolist()
    return sample_ratio(users, [arm.share for arm in arms])


def compare(
    measured: Measured,
    smallest_effect: float | Literal["auto"] = "auto",
    level: float = 0.95,
    *,
    adjusted: bool = True,
) -> list[Compared]:
    """Every arm but control against control, by every metric.

    Args:
        smallest_effect: relative effect worth finding, chosen beforehand: always-valid intervals are
            narrowest where it would be found (`sequential.mixing`). auto: the one found once a metric
            varies by a quarter of its variance on the first day that has one.
        adjusted: use what users did before the start (CUPED), where the log holds it.
    """
    found = [
        _compared(measured, metric, place, smallest_effect, level, adjusted)
        for metric in measured.metrics
        for place in range(1, len(measured.experiment.arms))
    ]
    return _judged(found, {metric.name: metric for metric in measured.metrics}, level)


def _compared(
    measured: Measured,
    metric: Metric,
    place: int,
    smallest_effect: float | Literal["auto"],
    level: float,
    adjusted: bool,
) -> Compared:
    arm = measured.experiment.arms[place].name
    moments = measured.moments[metric.name]
    effects = [_effect(day.cumulative, place, level, adjusted) for day in moments]
    values = np.array([one.relative.value for one in effects])
    variances = np.array([one.relative.variance for one in effects])
    sought = _sought(variances) if smallest_effect == "auto" else smallest_effect
    t = mixing((sought / FOUND) ** 2, level)
    low, high = always_valid(values, variances, t, level)
    always = [(float(a), float(b)) for a, b in zip(low, high, strict=True)]
    p_always = always_valid_p(values, variances, t)
    days = [str(day) for day in measured.days]
    last, end = effects[-1], moments[-1].cumulative
    return Compared(
        metric.name,
        arm,
        _three(ratio(end[0], level)),
        _three(ratio(end[place], level)),
        last.relative.value,
        (last.relative.low, last.relative.high),
        always[-1],
        last.p,
        math.nan,
        float(p_always[-1]),
        math.nan,
        FOUND * math.sqrt(last.relative.variance) if last.relative.variance >= 0 else math.nan,
        sought,
        last.saved,
        "unclear",
        last.note,
        tuple(
            _look(day, _effect(one.daily, place, level, adjusted))
            for day, one in zip(days, moments, strict=True)
        ),
        tuple(
            replace(_look(day, one), always=interval)
            for day, one, interval in zip(days, effects, always, strict=True)
        ),
    )


def _sought(variances: NDArray[np.float64]) -> float:
    """A relative effect worth finding, by how uncertain the first day left it; never by what was found.

    Some weeks of people who come back give about three to ten times the information of the first day.
    """
    known = variances[np.isfinite(variances) & (variances > 0)]
    return FOUND * math.sqrt(known[0] / GROWTH) if len(known) else 1.0


def _effect(arms: Sequence[Moments], place: int, level: float, adjusted: bool) -> Effect:
    return effect(arms[0], arms[place], level, adjusted=adjusted and len(arms[0].mean) > 2)


def _look(day: str, found: Effect) -> Look:
    relative = found.relative
    return Look(day, found.control, found.treatment, relative.value, relative.low, relative.high)


def _three(found: Estimate) -> tuple[float, float, float]:
    return found.value, found.low, found.high


def _judged(found: list[Compared], metrics: dict[str, Metric], level: float) -> list[Compared]:
    once, often = holm([one.p for one in found]), holm([one.p_always for one in found])
    return [
        replace(
            one,
            p_holm=float(a),
            p_always_holm=float(b),
            verdict=_verdict(one, metrics[one.metric], float(a), float(b), 1 - level),
        )
        for one, a, b in zip(found, once, often, strict=True)
    ]


def _verdict(one: Compared, metric: Metric, p: float, p_always: float, alpha: float) -> Verdict:
    if not math.isfinite(one.effect):
        return "no figure"
    good = one.effect * metric.sign > 0
    if p_always < alpha:
        return "better" if good else "worse"
    if p < alpha:
        return "better at the planned end" if good else "worse at the planned end"
    return "unclear"
