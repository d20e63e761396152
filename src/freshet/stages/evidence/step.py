"""Step: what prompts say about recent transitions, for the table's contexts and for the held-out windows.

Paper, section 3.3: prompts are refreshed with the successors that were most frequent lately.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.errors import NotEnoughData
from freshet.core.types import AsOf, Evidence, Sums
from freshet.run_context import RunContext
from freshet.stages import evidence
from freshet.stages.counts.holdout_windows import Window
from freshet.stages.inference.sampling import within_budget
from freshet.stages.table.table_plan import TablePlan, planner_contexts


@dataclass(frozen=True, slots=True)
class WindowEvidence:
    """Evidence from before a held-out window, for the contexts of a sample of its users.

    Attributes:
        window: the sample: whole users, as many as the budget of prompts allows.
        contexts: (n, k) what the planner is asked about them.
    """

    window: Window
    contexts: NDArray[np.int16]
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class ChosenEvidence:
    """All evidence that a table needs: for its rows, and to fit the planner's weight.

    Attributes:
        contexts: (C, k) contexts of the table that a planner is asked about.
        rows: their evidence as of the table's moment.
        windows: the same as of the start of each held-out window; empty without a planner.
    """

    contexts: NDArray[np.int16]
    rows: Evidence
    windows: list[WindowEvidence]


def choose(ctx: RunContext, plan: TablePlan) -> ChosenEvidence:
    """Evidence for a table's contexts, and for its held-out windows if a planner is asked.

    The planner's weight must be fitted on answers that it could have given at the time: evidence comes from
    before each window. The previous table's evidence steadies the prompts.

    Raises:
        NotEnoughData: a planner's weight can't be fitted, since nothing is held out.
    """
    holdout, config = ctx.fitter.holdout, ctx.config
    windows = holdout.windows if plan.model else []
    if plan.model and not windows:
        raise NotEnoughData(
            f"the last windows ({ctx.log.scales.window_days} days each) hold no transitions",
            hint="raise [counts] window_days or fit_windows, or import more events",
        )
    ineligible, until = plan.rules.ineligible(), plan.evidence_until
    contexts = planner_contexts(ctx, plan.contexts)
    with ctx.run.step("evidence") as step:
        rows = gather(ctx, earlier(ctx.as_of, until), contexts, steady(plan), ineligible)
        budget = config.inference.calibration_prompts // max(len(windows), 1)
        chosen = []
        for window in windows:
            sample, sampled = within_budget(window, ctx.fitter.k, budget)
            then = gather(ctx, earlier(window.start, until), sampled, None, ineligible)
            chosen.append(WindowEvidence(sample, sampled, then))
        step.details = {"contexts": len(contexts), "with_evidence": len(rows)}
    return ChosenEvidence(contexts, rows, chosen)


def steady(plan: TablePlan) -> Evidence | None:
    """The evidence of the table before, which steadies prompts."""
    return evidence.read(plan.previous.path / "evidence.parquet") if plan.previous else None


def gather(
    ctx: RunContext,
    moment: AsOf,
    contexts: NDArray[np.int16],
    previous: Evidence | None = None,
    ineligible: frozenset[int] = frozenset(),
) -> Evidence:
    """Evidence for contexts (n, k) as it was before a moment; `previous` steadies it.

    Args:
        ineligible: interests that it may not name.
    """
    log, k = ctx.log, ctx.fitter.k
    config, days = ctx.config.evidence, log.scales.evidence_days
    if config.level == "none":
        return Evidence.none(k)

    def supports(skip: int) -> list[Sums]:
        return [
            log.transitions.supports(moment, days, length, config.user_cap, skip) for length in range(k + 1)
        ]

    window = evidence.Window(supports(0), supports(days) if config.rank_by == "trend" else [])
    prior_counts = ctx.fitter.fit.prior_counts
    return evidence.choose(window, contexts, len(log.interests), prior_counts, config, previous, ineligible)


def earlier(moment: AsOf, until: AsOf | None) -> AsOf:
    """The earlier of two moments; None is no bound."""
    return moment if until is None else min(moment, until, key=lambda one: one.day)
