"""Step: what a cadence policy sees as of a moment, and what it decides."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np

from freshet.core.ports import CadencePolicy
from freshet.core.types import AsOf, BoolArray, CadenceDecision, FloatArray, Signs, Staleness, Transitions
from freshet.run_context import RunContext
from freshet.stages import schedule as cadence
from freshet.stages.counts.fitter import CountFitter
from freshet.storage.ledger import Record

BACK = 4
"""Windows before today, and before the last refresh, that are looked at."""
LIMIT = 40_000
"""Transitions looked at, at most; of more, a sample of users."""
JUDGED = 10_000
"""Transitions judged twice to learn what age costs, at most."""
TOP = 5
LAST = 5
"""Refreshes whose costs are averaged."""
STEPS = ("evidence", "inference", "mixture", "table")
"""What a refresh pays for: the steps of the fast path."""


def decide(ctx: RunContext, refreshes: Sequence[AsOf]) -> CadenceDecision:
    """What the configured policy decides as of the moment; it is noted in the ledger.

    Args:
        refreshes: moments of the refreshes so far, ascending; at least one.
    """
    schedule = ctx.config.schedule
    policy = cadence.policy(
        schedule.policy, schedule.refresh_days, schedule.drift_alpha, schedule.value_per_hit
    )
    with ctx.run.step("cadence") as step:
        signs = see(policy, ctx.fitter, refreshes, expected_cost(ctx.ws.ledger.records()))
        decision = policy.decide(signs)
        step.details = {"policy": schedule.policy, **asdict(decision)}
    return decision


def see(policy: CadencePolicy, fitter: CountFitter, refreshes: Sequence[AsOf], cost: float) -> Signs:
    """The signs that a policy needs; what it doesn't look at is left empty.

    Args:
        fitter: counts as of today.
        cost: money that a refresh is expected to cost.
    """
    known = fitter.log
    today, days = known.as_of.day_number, [moment.day_number for moment in refreshes]
    window = known.scales.window_days
    log, nothing = known.transitions, AsOf.from_day_number(0)
    start = AsOf.from_day_number(max(0, min(days[-1], today) - BACK * window))
    rows = log.between(nothing, nothing)
    if policy.looks.rows:
        rows = log.between(start, known.as_of, LIMIT)
    staleness = Staleness.none()
    if policy.looks.staleness:
        staleness = staleness_of(fitter, refreshes)
    day, count = log.daily()
    traffic = float(count[(day >= today - window) & (day < today)].sum()) / window
    return Signs(today, tuple(days), window, rows, traffic, staleness, cost)


def staleness_of(fitter: CountFitter, refreshes: Sequence[AsOf]) -> Staleness:
    """Transitions of the last windows judged by the counts of the table in use then, and of their own day."""
    known = fitter.log
    today = known.as_of.day_number
    first = max(refreshes[0].day_number, today - BACK * known.scales.window_days)
    rows = known.transitions.between(AsOf.from_day_number(first), known.as_of, JUDGED)
    made = np.array([moment.day_number for moment in refreshes])
    in_use = made[np.searchsorted(made, rows.day, side="right") - 1]
    hit, nll = np.zeros((2, len(rows)), bool), np.zeros((2, len(rows)))
    for which, counted in enumerate((in_use, rows.day)):
        for day in np.unique(counted):
            at = np.flatnonzero(counted == day)
            hit[which, at], nll[which, at] = _scored(fitter, AsOf.from_day_number(day), rows.take(at))
    return Staleness(rows.user, rows.day, (rows.day - in_use).astype(np.int32), *hit, *nll)


def expected_cost(records: Sequence[Record]) -> float:
    """Money per refresh: the mean of the last ones, by the ledger; 0 before there was one."""
    spent = [
        sum(step.money for step in record.steps if step.name in STEPS)
        for record in records
        if record.command in ("run", "refresh")
        and any(step.name == "table" and not step.cached for step in record.steps)
    ]
    return float(np.mean(spent[-LAST:])) if spent else 0.0


def _scored(fitter: CountFitter, moment: AsOf, rows: Transitions) -> tuple[BoolArray, FloatArray]:
    """(n,) whether the successor is among the first five by counts before a moment, and its nats."""
    scorer = fitter.scorer_at(moment)
    logp = scorer.by_counts(rows.recent, rows.known)
    own = logp[np.arange(len(rows)), rows.successor]
    return (logp > own[:, None]).sum(axis=1) < TOP, -own
