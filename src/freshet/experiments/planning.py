"""How many users, and days, it takes to see an effect; and which effect a given traffic can show.

For small relative effects, by the normal approximation: the relative effect's standard error is
cv * sqrt((1 - explained) (1 / n_control + 1 / n_treatment)), with cv the standard deviation of the linearised
metric over users by its mean.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy import special

from freshet.errors import NotEnoughData
from freshet.experiments.linear import spread
from freshet.experiments.moments import Moments
from freshet.experiments.sequential import always_valid, mixing


@dataclass(frozen=True, slots=True)
class Design:
    """How an experiment is to be judged.

    Attributes:
        share: of the users who take part, those in treatment.
        level: of the interval.
        power: chance of seeing the effect if it is there.
        sequential: by the always-valid interval, on the last day. Its chance of having seen the effect on any
            day is higher, so this asks for somewhat too many users.
    """

    share: float = 0.5
    level: float = 0.95
    power: float = 0.8
    sequential: bool = False

    @property
    def critical(self) -> float:
        """Standard errors between zero and an estimate from which its interval excludes zero."""
        if self.sequential:
            return float(always_valid(0.0, 1.0, mixing(1.0, self.level), self.level)[1])
        return float(special.ndtri((1 + self.level) / 2))


@dataclass(frozen=True, slots=True)
class Baseline:
    """A metric before the experiment.

    Attributes:
        mean: the metric.
        variance: of the linearised metric over users.
        explained: share of it that covariates take away (rho^2), 0 without.
    """

    mean: float
    variance: float
    explained: float = 0.0

    @classmethod
    def of(cls, moments: Moments) -> Baseline:
        """As measured on users; covariates (columns 2 on) count as used."""
        return cls(*spread(moments))

    def error(self, users: float, share: float) -> float:
        """Standard error of the relative effect with that many users in both arms together."""
        if not (users and self.mean):
            return math.inf
        variance = self.variance * (1 - self.explained) / (users * share * (1 - share))
        return math.sqrt(variance) / abs(self.mean)


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


def power(effect: float, baseline: Baseline, users: float, design: Design = DESIGN) -> float:
    """Chance that the interval excludes zero, on either side, if the relative effect is `effect`."""
    error = baseline.error(users, design.share)
    apart = abs(effect) / error if error else math.inf
    return float(special.ndtr(apart - design.critical) + special.ndtr(-apart - design.critical))


def detectable(baseline: Baseline, users: float, design: Design = DESIGN) -> float:
    """Smallest relative effect seen with the design's power by that many users in both arms together."""
    return (design.critical + float(special.ndtri(design.power))) * baseline.error(users, design.share)


def users_needed(effect: float, baseline: Baseline, design: Design = DESIGN) -> float:
    """Users in both arms together from which a relative effect is seen; inf for none, or of a metric of 0."""
    ratio = detectable(baseline, 1, design) / abs(effect) if effect else math.inf
    return ratio if math.isinf(ratio) else math.ceil(ratio**2)


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
    shown = {span.days: detectable(span.baseline, span.users, design) for span in spans}
    users = {span.days: users_needed(effect, span.baseline, design) for span in spans}
    first = next((span for span in spans if shown[span.days] <= abs(effect)), None)
    return Plan(
        None if first is None else first.days,
        shown,
        users,
        _enough(first, effect, design) if first else _too_small(spans[-1], effect, design),
    )


def _enough(span: Span, effect: float, design: Design) -> str:
    sure = f"{design.power:.0%} chance at level {design.level:.0%}"
    return f"{span.days} days show an effect of {abs(effect):.3%} ({sure}; {span.users:,.0f} users)."


def _too_small(span: Span, effect: float, design: Design) -> str:
    if not span.baseline.mean:
        return f"The metric is 0 in {span.days} days of the log: no traffic shows a relative effect."
    sure = f"{design.power:.0%} chance at level {design.level:.0%}"
    least, needed = detectable(span.baseline, span.users, design), users_needed(effect, span.baseline, design)
    return (
        f"Traffic is too small: {span.days} days, the longest looked at, show {least:.3%} at best"
        f" ({sure}; {span.users:,.0f} users). {abs(effect):.3%} takes {needed:,.0f} such users."
    )
