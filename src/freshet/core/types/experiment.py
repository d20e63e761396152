"""Experiments: who is shown what, so that the difference can be measured."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal, get_args

Strategy = Literal[
    "published", "hybrid", "hybrid-live", "counts", "counts-live", "popularity", "hybrid-feedback"
]
"""How a release answers: as it was published, or by a part of it.

`hybrid` is the fused score without live signals, `hybrid-live` with them, `hybrid-feedback` is `hybrid-live`
with what reactions say of its first proposals; `counts` is the fitted mixture of counts alone, `counts-live`
with live signals; `popularity` is recent popularity alone.
"""

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
LIVE: tuple[Strategy, ...] = ("hybrid-live", "counts-live", "hybrid-feedback")
"""Strategies with live signals, where they pay; `published` has them too."""

ATTRIBUTION_HOURS = 168.0
"""Hours after the showing within which an outcome must come to count, of experiments that don't say."""


@dataclass(frozen=True, slots=True)
class Serves:
    """What an arm is answered with.

    Attributes:
        release: number of a fixed release; None = whichever is current.
        strategy: how that release answers.
    """

    release: int | None = None
    strategy: Strategy = "published"

    def __str__(self) -> str:
        which = "follow" if self.release is None else f"release:{self.release}"
        if self.strategy == "published":
            return which
        return self.strategy if self.release is None else f"{which}/{self.strategy}"


@dataclass(frozen=True, slots=True)
class ExperimentArm:
    """One side of an experiment; `share` of the users who take part, all shares add up to 1."""

    name: str
    share: float
    serves: Serves


@dataclass(frozen=True, slots=True)
class MetricRule:
    """A metric of the workspace's own, as `[[experiments.metrics]]` gives it."""

    name: str
    counts: str
    of: str
    better: Literal["higher", "lower"]
    attributed: bool


@dataclass(frozen=True, slots=True)
class MeasurementRules:
    """How the metrics of an experiment are measured: the settings at its start, whatever the file says later.

    Attributes:
        positive: rule of `[events]`.
        novelty_days: as in `[transitions]`.
        satisfied, dissatisfied, negative, smallest_effect, metrics, attribution_hours: as in `[experiments]`.
    """

    positive: str
    novelty_days: int | Literal["ever"]
    satisfied: str
    dissatisfied: str
    negative: str
    smallest_effect: float | Literal["auto"]
    metrics: tuple[MetricRule, ...] = ()
    attribution_hours: float = ATTRIBUTION_HOURS


@dataclass(frozen=True, slots=True)
class Experiment:
    """Who is shown what from a moment on.

    Attributes:
        name: letters, digits, - and _; also the name of its folder.
        salt: decides who is assigned where; another experiment has another one.
        arms: two or more; the first is the control.
        traffic: share of all users who take part.
        metrics: names of what it is evaluated by, the first being what it is for.
        start, stop: microseconds since 1970 (UTC); stop None = it runs.
        began: number of the release that was current at the start.
        days: planned length; always-valid intervals are narrowest at its end.
        isolated: whether what an arm's users did since the start is kept out of the other arms' evidence.
        reason: why it was stopped.
        rules: how metrics are measured; None = by the settings of today (an older experiment).
        canary: whether it tries a new release, that of the second arm, on some users before all get it.
    """

    name: str
    salt: str
    arms: tuple[ExperimentArm, ...]
    traffic: float
    metrics: tuple[str, ...]
    start: int
    began: int
    days: int = 14
    isolated: bool = False
    stop: int | None = None
    reason: str = ""
    rules: MeasurementRules | None = None
    canary: bool = False

    @property
    def precedence(self) -> tuple[bool, int, str]:
        """Ascending: the order in which running experiments get users; canaries take those who are left."""
        return self.canary, self.start, self.name

    @property
    def control(self) -> ExperimentArm:
        return self.arms[0]

    @property
    def running(self) -> bool:
        return self.stop is None

    def as_dict(self) -> dict[str, Any]:
        """As its file, and the versions of its artifacts, have it: `isolated` and `rules` by older names."""
        found = asdict(self)
        if not found["canary"]:
            del found["canary"]  # as older ones have it
        return found | {"separated": found.pop("isolated"), "judging": found.pop("rules")}

    def arm(self, name: str) -> ExperimentArm:
        """An arm by name; raises KeyError."""
        return {arm.name: arm for arm in self.arms}[name]
