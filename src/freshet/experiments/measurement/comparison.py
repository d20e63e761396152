"""Effects of arms against control with intervals and verdicts, from the moments of an experiment."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from freshet.core.time import DAY, midnight
from freshet.experiments.measurement.experiment_metrics import Metric
from freshet.experiments.measurement.measure import Measurement
from freshet.experiments.stats.bootstrap import bootstrap
from freshet.experiments.stats.effects import Effect, Estimate, effect, ratio
from freshet.experiments.stats.moments import Moments
from freshet.experiments.stats.multiplicity import always_valid_p, boundary, holm, mixing
from freshet.experiments.stats.power import Design, detectable_by
from freshet.experiments.stats.sample_ratio import SampleRatio, sample_ratio

FOUND = 1.959964 + 0.841621
"""Standard errors that an effect must measure to be found with a power of 80 %."""

Verdict = Literal[
    "better",
    "worse",
    "reversed",
    "better at the planned end",
    "worse at the planned end",
    "not yet",
    "unclear",
    "no figure",
]
"""`reversed`: an earlier look set the arms apart, and the effect has changed its side since. `not yet`: the
interval for one look sets them apart, but the planned end is not over (or the experiment stopped before)."""


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
class Comparison:
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
        bootstrap: interval of the effect as counted, by resampling users, for one look; None if not wanted.
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


def ratio_of_users(measured: Measurement) -> SampleRatio:
    """Whether users are split among the arms as was meant."""
    arms = measured.experiment.arms
    users = np.bincount(measured.exposures.users.arm, minlength=len(arms)).tolist()
    return sample_ratio(users, [arm.share for arm in arms])


def planned_end_reached(measured: Measurement) -> bool:
    """Whether what was collected reaches the day of the planned end."""
    one = measured.experiment
    end = midnight(measured.days[-1]) + DAY
    return min(end, end if one.stop is None else one.stop) >= one.start + one.days * DAY


def compare(
    measured: Measurement,
    smallest_effect: float | Literal["auto"] = "auto",
    level: float = 0.95,
    *,
    adjusted: bool = True,
    resamples: int = 0,
) -> list[Comparison]:
    """Every arm but control against control, by every metric.

    Args:
        smallest_effect: relative effect worth finding, chosen beforehand: always-valid intervals are
            narrowest where it would be found (`multiplicity.mixing`). auto: what is likely to be found at the
            planned end, by how uncertain the first day with a figure leaves the metric.
        adjusted: use what users did before the start (CUPED), where the log holds it.
        resamples: of users, for intervals by the bootstrap; 0 = none.
    """
    method = _Method(smallest_effect, level, adjusted, resamples)
    found = [
        _compared(measured, metric, place, method)
        for metric in measured.metrics
        for place in range(1, len(measured.experiment.arms))
    ]
    signs = {one.name: one.sign for one in measured.metrics}
    ended = planned_end_reached(measured)
    once, often = holm([one.p for one in found]), holm([one.p_always for one in found])
    return [
        _with_verdict(
            replace(one, p_holm=float(a), p_always_holm=float(b)), signs[one.metric], ended, 1 - level
        )
        for one, a, b in zip(found, once, often, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _Method:
    """Arguments of `compare`."""

    smallest_effect: float | Literal["auto"]
    level: float
    adjusted: bool
    resamples: int

    def effect(self, arms: Sequence[Moments], place: int) -> Effect:
        """Of the arm at a place against the first."""
        return effect(arms[0], arms[place], self.level, adjusted=self.adjusted and len(arms[0].mean) > 2)


def _compared(measured: Measurement, metric: Metric, place: int, method: _Method) -> Comparison:
    moments, level = measured.moments[metric.name], method.level
    effects = [method.effect(day.cumulative, place) for day in moments]
    always, p_always, sought = every_look(effects, measured.experiment.days, method.smallest_effect, level)
    days = [str(day) for day in measured.days]
    last, end = effects[-1], moments[-1].cumulative
    return Comparison(
        metric=metric.name,
        arm=measured.experiment.arms[place].name,
        control=_value_and_interval(ratio(end[0], level)),
        value=_value_and_interval(ratio(end[place], level)),
        adjusted=(last.control, last.treatment),
        effect=last.relative.value,
        fixed=(last.relative.low, last.relative.high),
        always=always[-1],
        p=last.p,
        p_holm=math.nan,
        p_always=float(p_always[-1]),
        p_always_holm=math.nan,
        strongest=days[int(p_always.argmin())],
        detectable=detectable_by(last, Design(level=level)),
        sought=sought,
        saved=last.saved,
        verdict="unclear",
        note=last.note,
        daily=tuple(
            _look(day, method.effect(one.daily, place)) for day, one in zip(days, moments, strict=True)
        ),
        cumulative=tuple(
            replace(_look(day, one), always=interval)
            for day, one, interval in zip(days, effects, always, strict=True)
        ),
        bootstrap=_resampled(measured, metric, place, method) if method.resamples else None,
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


def _resampled(measured: Measurement, metric: Metric, place: int, method: _Method) -> tuple[float, float]:
    control, arm = (measured.tallies[metric.name].rows(one) for one in (0, place))
    found = bootstrap(control, arm, resamples=method.resamples, level=method.level)
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


def _look(day: str, found: Effect) -> Look:
    relative = found.relative
    return Look(day, found.control, found.treatment, relative.value, relative.low, relative.high)


def _value_and_interval(found: Estimate) -> tuple[float, float, float]:
    return found.value, found.low, found.high


def verdict(
    effects: tuple[float, float], sign: int, p: tuple[float, float], ended: bool, alpha: float
) -> Verdict:
    """One verdict.

    Args:
        effects: now, and at the look that spoke most against no effect: p at every look is that look's, so
            it says nothing of the side on which the effect is now.
        sign: 1 where more is better, -1 where less is.
        p: of one look now, and of every look.
    """
    now, then = effects
    if not math.isfinite(now):
        return "no figure"
    good = now * sign > 0
    if p[1] < alpha:
        return ("better" if good else "worse") if now * then > 0 else "reversed"
    if p[0] < alpha:
        return ("better at the planned end" if good else "worse at the planned end") if ended else "not yet"
    return "unclear"


def _with_verdict(one: Comparison, sign: int, ended: bool, alpha: float) -> Comparison:
    then = next(look for look in one.cumulative if look.day == one.strongest)
    found = verdict((one.effect, then.effect), sign, (one.p_holm, one.p_always_holm), ended, alpha)
    if found != "reversed":
        return replace(one, verdict=found)
    turned = f"until {then.day} it was {then.effect:+.2%}, told apart at every look; it has turned since"
    return replace(one, verdict=found, note="; ".join(filter(None, (turned, one.note))))
