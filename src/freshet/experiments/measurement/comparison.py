"""From an experiment's moments to what can be said: effects with intervals, and how far to believe them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from freshet.experiments.measurement.measure import Measured
from freshet.experiments.measurement.metrics import Metric
from freshet.experiments.measurement.verdicts import Verdict, over, verdict
from freshet.experiments.stats.bootstrap import bootstrap
from freshet.experiments.stats.effects import Effect, Estimate, effect, ratio
from freshet.experiments.stats.families import SampleRatio, holm, sample_ratio
from freshet.experiments.stats.moments import Moments
from freshet.experiments.stats.power import Design, detectable_by
from freshet.experiments.stats.sequential import always_valid_p, boundary, mixing

FOUND = 1.959964 + 0.841621
"""Standard errors that an effect must measure to be found with a power of 80 %."""


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
        control, value: the metric in control and in the arm (value, low, high), as counted.
        adjusted: the metric in control and in the arm, both moved to what users of both did before on average
            (CUPED): what `effect` compares. As counted where there is nothing to adjust by.
        effect: relative; 0.01 = 1 % more than control.
        fixed: its interval, for one look at an end that was planned.
        always: its interval that holds at every look.
        strongest: day of the look that spoke most against no effect, which `p_always` is of.
        p, p_always: of no effect, for the same two ways to look; `holm` of each: adjusted for all metrics.
        detectable: relative effect that is found with a power of 80 % by now.
        sought: relative effect about which the interval at every look is narrowest.
        saved: share of variance that what users did before took away (CUPED).
        bootstrap: interval of the effect as counted, by resampling users, for one look; None if not asked.
        note: why a figure is missing or rough.
        daily, cumulative: the same by day, and of all days so far.
    """

    metric: str
    arm: str
    control: tuple[float, float, float]
    value: tuple[float, float, float]
    adjusted: tuple[float, float]
    effect: float
    fixed: tuple[float, float]
    always: tuple[float, float]
    p: float
    p_holm: float
    p_always: float
    p_always_holm: float
    strongest: str
    detectable: float
    sought: float
    saved: float
    verdict: Verdict
    note: str
    daily: tuple[Look, ...]
    cumulative: tuple[Look, ...]
    bootstrap: tuple[float, float] | None = None


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
    resamples: int = 0,
) -> list[Compared]:
    """Every arm but control against control, by every metric.

    Args:
        smallest_effect: relative effect worth finding, chosen beforehand: always-valid intervals are
            narrowest where it would be found (`sequential.mixing`). auto: what is likely to be found at the
            planned end, by how uncertain the first day with a figure leaves the metric.
        adjusted: use what users did before the start (CUPED), where the log holds it.
        resamples: of users, for intervals by the bootstrap; 0 = none.
    """
    found = [
        _compared(measured, metric, place, smallest_effect, level, adjusted, resamples)
        for metric in measured.metrics
        for place in range(1, len(measured.experiment.arms))
    ]
    return _judged(found, {one.name: one for one in measured.metrics}, over(measured), 1 - level)


def _compared(
    measured: Measured,
    metric: Metric,
    place: int,
    smallest_effect: float | Literal["auto"],
    level: float,
    adjusted: bool,
    resamples: int,
) -> Compared:
    arm = measured.experiment.arms[place].name
    moments = measured.moments[metric.name]
    effects = [_effect(day.cumulative, place, level, adjusted) for day in moments]
    always, p_always, sought = every_look(effects, measured.experiment.days, smallest_effect, level)
    days = [str(day) for day in measured.days]
    last, end = effects[-1], moments[-1].cumulative
    return Compared(
        metric.name,
        arm,
        _three(ratio(end[0], level)),
        _three(ratio(end[place], level)),
        (last.control, last.treatment),
        last.relative.value,
        (last.relative.low, last.relative.high),
        always[-1],
        last.p,
        math.nan,
        float(p_always[-1]),
        math.nan,
        days[int(p_always.argmin())],
        detectable_by(last, Design(level=level)),
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
        _resampled(measured, metric, place, resamples, level) if resamples else None,
    )


def every_look(
    effects: Sequence[Effect],
    planned: int,
    smallest_effect: float | Literal["auto"] = "auto",
    level: float = 0.95,
) -> tuple[list[tuple[float, float]], NDArray[np.float64], float]:
    """(intervals, p, effect sought) by cumulative effects of days in order, all valid at every look.

    Args:
        planned: days of the experiment.
        smallest_effect, level: as of `compare`.
    """
    variances = np.array([one.null for one in effects])
    sought = _sought(variances, planned) if smallest_effect == "auto" else smallest_effect
    t = mixing((sought / FOUND) ** 2, level)
    intervals = [
        one.within(float(far)) for one, far in zip(effects, boundary(variances, t, level), strict=True)
    ]
    known = np.where(np.isfinite(variances), variances, 1.0)
    z = np.array([one.z for one in effects])
    return intervals, always_valid_p(z * np.sqrt(known), variances, t), sought


def _resampled(
    measured: Measured, metric: Metric, place: int, resamples: int, level: float
) -> tuple[float, float]:
    control, arm = (measured.tallies[metric.name].rows(one) for one in (0, place))
    found = bootstrap(control, arm, resamples=resamples, level=level)
    return found.low, found.high


def _sought(variances: NDArray[np.float64], planned: int) -> float:
    """A relative effect worth finding, by how uncertain the first day left it; never by what was found.

    People come back, so information about them grows more slowly than time: weeks give about three to ten
    times that of a day. Its root is taken; being wrong costs width, never validity.
    """
    known = np.flatnonzero(np.isfinite(variances) & (variances > 0))
    if not len(known):
        return 1.0
    first = known[0]
    return FOUND * math.sqrt(variances[first] / math.sqrt(max(1.0, planned / (first + 1))))


def _effect(arms: Sequence[Moments], place: int, level: float, adjusted: bool) -> Effect:
    return effect(arms[0], arms[place], level, adjusted=adjusted and len(arms[0].mean) > 2)


def _look(day: str, found: Effect) -> Look:
    relative = found.relative
    return Look(day, found.control, found.treatment, relative.value, relative.low, relative.high)


def _three(found: Estimate) -> tuple[float, float, float]:
    return found.value, found.low, found.high


def _judged(found: list[Compared], metrics: dict[str, Metric], ended: bool, alpha: float) -> list[Compared]:
    once, often = holm([one.p for one in found]), holm([one.p_always for one in found])
    return [
        _with_verdict(
            replace(one, p_holm=float(a), p_always_holm=float(b)), metrics[one.metric], ended, alpha
        )
        for one, a, b in zip(found, once, often, strict=True)
    ]


def _with_verdict(one: Compared, metric: Metric, ended: bool, alpha: float) -> Compared:
    then = next(look for look in one.cumulative if look.day == one.strongest)
    p = one.p_holm, one.p_always_holm
    said = verdict((one.effect, then.effect), metric.sign, p, ended, alpha)
    if said != "reversed":
        return replace(one, verdict=said)
    turned = f"until {then.day} it was {then.effect:+.2%}, told apart at every look; it has turned since"
    return replace(one, verdict=said, note="; ".join(filter(None, (turned, one.note))))
