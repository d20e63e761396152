"""How many users, and days, it takes to see an effect; and which effect a given traffic can show.

By the normal approximation, with the variances that a report will see if the effect is there: 1 + r times the
outcomes scatter more as well, by (1 + r)^2 as far as users differ and by 1 + r as far as counts are left to
chance. Planning by the variance without an effect promises 80 % where it is 74 %.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import scipy

from freshet.core.errors import NotEnoughData
from freshet.experiments.stats.effects import Effect
from freshet.experiments.stats.moments import Moments, spread
from freshet.experiments.stats.multiplicity import boundary, mixing


@dataclass(frozen=True, slots=True)
class Design:
    """How an experiment is to be evaluated.

    Attributes:
        share: of the users who take part, those in treatment.
        level: of the interval.
        power: chance of seeing the effect if it is there.
        sequential: by the always-valid interval, on the last day. Its chance of having seen the effect on any
            day is higher, so this asks for somewhat too many users.
        days: of the plan; sequential only. The more days an interval may be read on, the wider on the last.
    """

    share: float = 0.5
    level: float = 0.95
    power: float = 0.8
    sequential: bool = False
    days: int = 28

    @property
    def critical(self) -> float:
        """Standard errors between zero and an estimate from which its interval excludes zero."""
        if self.sequential:
            # a report plans T by the first day, and takes it that variances fall by the root of the days
            return float(boundary(1.0, mixing(math.sqrt(self.days), self.level), self.level))
        return float(scipy.special.ndtri((1 + self.level) / 2))


@dataclass(frozen=True, slots=True)
class Baseline:
    """A metric before the experiment.

    Attributes:
        mean: the metric.
        variance: of the linearised metric over users.
        explained: share of it that covariates take away (rho^2), 0 without.
        counted: share of it that is chance of counts (Poisson), which grows as the mean does; the rest grows
            as its square. 0 is on the safe side.
    """

    mean: float
    variance: float
    explained: float = 0.0
    counted: float = 0.0

    @classmethod
    def of(cls, moments: Moments) -> Baseline:
        """As measured on users who count outcomes; covariates (columns 2 on) count as used."""
        mean, variance, explained = spread(moments)
        chance = mean / float(moments.mean[1]) / variance if moments.mean[1] and variance > 0 else 0.0
        return cls(mean, variance, explained, min(1.0, max(0.0, chance)))

    def errors(self, effect: float, users: float, share: float) -> tuple[float, float]:
        """Standard error of the relative effect if it is `effect` (0 or more), with that many users in both
        arms together: the true one, and the one that intervals take (the larger of two, see `Effect`)."""
        if not (users and self.mean):
            return math.inf, math.inf
        one = self.variance * (1 - self.explained) / users / self.mean**2
        counted = min(1.0, self.counted / (1 - self.explained)) if self.explained < 1 else 1.0
        grown = (1 + effect) * (counted + (1 - counted) * (1 + effect))
        own, other = (one * (grown / part + 1 / (1 - part)) for part in (share, 1 - share))
        return math.sqrt(own), math.sqrt(max(own, other))


@dataclass(frozen=True, slots=True)
class Span:
    """What a log held in so many days: distinct users who would take part, and the metric."""

    days: int
    users: float
    baseline: Baseline


@dataclass(frozen=True, slots=True)
class Plan:
    """What a log's traffic can show.

    Attributes:
        days: the fewest that show the effect, None if none of those looked at do.
        detectable: days -> the smallest relative effect they show.
        users: days -> users needed to show the effect, were they like those of these days.
        says: the same in words.
    """

    days: int | None
    detectable: dict[int, float]
    users: dict[int, float]
    says: str


DESIGN = Design()
LARGEST = 1e6
"""Relative effect beyond which none is looked for."""


def power(effect: float, baseline: Baseline, users: float, design: Design = DESIGN) -> float:
    """Chance that the interval excludes zero, on either side, if the relative effect is `effect`.

    A loss is taken for a gain of the same size, which is somewhat harder to see.
    """
    error, taken = baseline.errors(abs(effect), users, design.share)
    if not error or math.isinf(error):
        return float(not error)
    apart, needed = abs(effect) / error, design.critical * taken / error
    return float(scipy.special.ndtr(apart - needed) + scipy.special.ndtr(-apart - needed))


def detectable(baseline: Baseline, users: float, design: Design = DESIGN) -> float:
    """Smallest relative effect seen with the design's power by that many users in both arms together; inf
    where none is: one so large would scatter as much."""

    def missing(effect: float) -> float:
        return _reach(effect, baseline, users, design) - effect

    high = missing(0.0)
    if not 0 < high < math.inf:
        return high
    while missing(high) > 0:
        high *= 2
        if high > LARGEST:
            return math.inf
    return float(scipy.optimize.brentq(missing, 0.0, high))


def detectable_by(found: Effect, design: Design = DESIGN) -> float:
    """Smallest relative effect that users like those of an experiment show with the design's power; the share
    is that of the experiment. NaN if their variance is not known, or no effect would be seen."""
    users = sum(found.users)
    if math.isinf(found.null):
        return math.nan
    share = found.users[1] / users
    alike = Baseline(1.0, found.null * users * share * (1 - share))
    found_by = detectable(alike, users, replace(design, share=share))
    return found_by if math.isfinite(found_by) else math.nan


def users_needed(effect: float, baseline: Baseline, design: Design = DESIGN) -> float:
    """Users in both arms together from which a relative effect is seen; inf for none, or of a metric of 0."""
    ratio = _reach(abs(effect), baseline, 1, design) / abs(effect) if effect else math.inf
    return ratio if math.isinf(ratio) else math.ceil(ratio**2)


def _reach(effect: float, baseline: Baseline, users: float, design: Design) -> float:
    """What an effect must measure to be seen with the design's power, given the errors that come with it."""
    error, taken = baseline.errors(effect, users, design.share)
    return design.critical * taken + float(scipy.special.ndtri(design.power)) * error


def plan(spans: Sequence[Span], effect: float, design: Design = DESIGN) -> Plan:
    """The fewest days that show a relative effect, by what a log held in as many.

    More days bring more users, ever fewer of them new, and more of each: both show in the spans, so measure
    each on the log rather than stretching one.

    Raises:
        NotEnoughData: there are no spans.
    """
    if not spans:
        raise NotEnoughData("no days of the log to plan by", hint="Import events first.")
    spans = sorted(spans, key=lambda span: span.days)
    designs = {span.days: replace(design, days=span.days) for span in spans}
    shown = {span.days: detectable(span.baseline, span.users, designs[span.days]) for span in spans}
    users = {span.days: users_needed(effect, span.baseline, designs[span.days]) for span in spans}
    first = next((span for span in spans if shown[span.days] <= abs(effect)), None)
    return Plan(
        None if first is None else first.days,
        shown,
        users,
        _enough(first, effect, design) if first else _too_small(spans[-1], effect, designs[spans[-1].days]),
    )


def _enough(span: Span, effect: float, design: Design) -> str:
    sure = _sure(design)
    return f"{span.days} days show an effect of {abs(effect):.3%} ({sure}; {span.users:,.0f} users)."


def _sure(design: Design) -> str:
    least = "at least " if design.sequential else ""  # some see it before the last day
    return f"{least}{design.power:.0%} chance at level {design.level:.0%}"


def _too_small(span: Span, effect: float, design: Design) -> str:
    if not span.baseline.mean:
        return f"The metric is 0 in {span.days} days of the log: no traffic shows a relative effect."
    sure = _sure(design)
    least, needed = detectable(span.baseline, span.users, design), users_needed(effect, span.baseline, design)
    if math.isinf(least):
        return (
            f"Traffic is too small: {span.days} days, the longest looked at, show no effect of any size"
            f" ({sure}; {span.users:,.0f} users). {abs(effect):.3%} takes {needed:,.0f} such users."
        )
    return (
        f"Traffic is too small: {span.days} days, the longest looked at, show {least:.3%} at best"
        f" ({sure}; {span.users:,.0f} users). {abs(effect):.3%} takes {needed:,.0f} such users."
    )
