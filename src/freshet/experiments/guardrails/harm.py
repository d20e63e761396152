"""Whether the arms of an experiment harm what is guarded, by what was collected so far.

Everything holds at every look: intervals of guardrails, and the test of how users are split.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from freshet.core.config import GuardrailConfig
from freshet.core.errors import ConfigError, NotEnoughData
from freshet.core.time import DAY, midnight
from freshet.core.types import Experiment
from freshet.experiments.measurement.comparison import Comparison, compare
from freshet.experiments.measurement.event_counts import require_columns
from freshet.experiments.measurement.experiment_metrics import Metric, metric
from freshet.experiments.measurement.frozen_rules import as_started
from freshet.experiments.measurement.measure import Measurement, measure
from freshet.experiments.stats.sample_ratio import ALARM, split_p
from freshet.stages.events import EventLog
from freshet.storage.ledger import Run
from freshet.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class GuardrailResult:
    """One arm evaluated by one guardrail; `guard` writes its fields to the ledger.

    Attributes:
        effect, low, high: relative, with the interval that holds at every look.
        harm: whether all of the interval is harm beyond the tolerance.
        sign: 1 where more of the metric is better, -1 where less is.
    """

    experiment: str
    arm: str
    metric: str
    effect: float
    low: float
    high: float
    tolerance: float
    harm: bool
    sign: int = 1


@dataclass(frozen=True, slots=True)
class SplitResult:
    """Different users by arm against those meant.

    Attributes:
        p: of the split meant, valid at every look.
        failed: p < 0.001: arms treat users differently before they are counted, so no effect is believed.
    """

    experiment: str
    arms: tuple[str, ...]
    users: tuple[int, ...]
    meant: tuple[float, ...]
    p: float
    failed: bool


@dataclass(frozen=True, slots=True)
class Findings:
    """Of one experiment.

    Attributes:
        split: None where nothing could be judged.
        judged: empty where the split failed.
        problems: why a guardrail isn't judged.
        unseen: nobody was exposed so far.
    """

    split: SplitResult | None
    judged: tuple[GuardrailResult, ...]
    problems: tuple[str, ...]
    unseen: bool = False


def evaluate(
    ws: Workspace, run: Run, experiment: Experiment, guardrails: Sequence[GuardrailConfig]
) -> Findings:
    """Every arm but control by every guardrail that can be measured by now, all in one pass.

    Raises:
        FreshetError: impressions or events can't be read.
    """
    measurable, problems = _measurable(ws, experiment, guardrails)
    if not measurable:
        return Findings(None, (), problems)
    try:
        metrics = list({one.name: one for _, one in measurable}.values())
        measured = measure(ws, experiment, metrics, run.progress)
    except NotEnoughData as error:
        return Findings(None, (), (*problems, f"{experiment.name}: {error.message}"), unseen=True)
    split = split_of(measured)
    if split.failed:
        return Findings(split, (), problems)
    results = [
        one
        for guardrail, by in measurable
        for one in _of_arms(ws, replace(measured, metrics=(by,)), guardrail, by, len(guardrails))
    ]
    return Findings(split, tuple(results), problems)


def split_of(measured: Measurement) -> SplitResult:
    """How users are split, looked at on each of the days on which they were first exposed."""
    experiment, users = measured.experiment, measured.exposures.users
    ends = [midnight(day) + DAY for day in measured.days]
    day = np.searchsorted(ends, users.first, side="right")
    new = np.zeros((len(ends) + 1, len(experiment.arms)), np.int64)
    np.add.at(new, (day, users.arm), 1)
    seen = new.cumsum(axis=0)
    shares = [arm.share for arm in experiment.arms]
    p = float(split_p(seen, shares)[-1])
    return SplitResult(
        experiment.name,
        tuple(arm.name for arm in experiment.arms),
        tuple(int(n) for n in seen[-1]),
        tuple(len(users) * share / sum(shares) for share in shares),
        p,
        p < ALARM,
    )


def _measurable(
    ws: Workspace, experiment: Experiment, guardrails: Sequence[GuardrailConfig]
) -> tuple[list[tuple[GuardrailConfig, Metric]], tuple[str, ...]]:
    """Guardrails with their metrics, and why others can't be evaluated: one must not keep others from it."""
    log, found, problems = EventLog(ws.source).snapshot().days, [], []
    for guardrail in guardrails:
        try:
            one = metric(as_started(ws.config, experiment), guardrail.metric)
            require_columns(log, one)
        except ConfigError as error:
            problems.append(
                f"{experiment.name}: guardrail {guardrail.metric!r} can't be judged: {error.message}"
            )
        else:
            found.append((guardrail, one))
    return found, tuple(problems)


def _of_arms(
    ws: Workspace, measured: Measurement, guardrail: GuardrailConfig, one: Metric, guardrails: int
) -> list[GuardrailResult]:
    """Guardrails and arms share the chance of a false alarm (Bonferroni), however they depend."""
    settings = as_started(ws.config, measured.experiment).experiments
    level = 1 - guardrail.alpha / (guardrails * (len(measured.experiment.arms) - 1))
    return [
        GuardrailResult(
            measured.experiment.name,
            arm.arm,
            one.name,
            arm.effect,
            *arm.always,
            guardrail.tolerance,
            _is_harm(arm, one.sign, guardrail.tolerance),
            one.sign,
        )
        for arm in compare(measured, settings.smallest_effect, level)
    ]


def _is_harm(arm: Comparison, sign: int, tolerance: float) -> bool:
    low, high = arm.always
    return high < -tolerance if sign > 0 else low > tolerance
