"""Step: prompts -> planner rows, for the table and for the windows that its planner's weight is fitted on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from time import monotonic
from typing import Any

import numpy as np
from numpy.typing import NDArray

from freshet.core.config import Config
from freshet.core.errors import PlannerError
from freshet.core.ports import Planner
from freshet.core.prompts import Prompts
from freshet.core.types import AsOf, Evidence, PlannerRows, ShortLists, Usage
from freshet.run_context import RunContext
from freshet.stages import inference
from freshet.stages.counts.holdout_windows import Window
from freshet.stages.evidence.step import ChosenEvidence
from freshet.stages.inference.announce import announce
from freshet.stages.inference.cost import Cost, cost_of
from freshet.stages.prompts.short_lists import scale
from freshet.stages.prompts.step import need_options, short_lists
from freshet.stages.prompts.workspace_wording import say_missing_titles, wording_of
from freshet.stages.table.table_plan import TablePlan
from freshet.storage.ledger import StepRecord

PROBE = 64
"""Prompts that are timed to estimate a run's length where no earlier run gives it."""


@dataclass(frozen=True, slots=True)
class InferencePlan:
    """What is copied, what is inferred, and by which planner: for the table's rows, for held-out windows.

    A planner that was refitted on the windows leaves them to its holdout model, which hasn't seen them.
    `lists` are what it chooses among: of the table's rows, then of each window; () = all interests.
    """

    rows: inference.Plan
    held: inference.Plan
    planner: Planner
    holdout_model: Planner
    lists: Sequence[ShortLists] = ()

    @property
    def parts(self) -> tuple[tuple[inference.Plan, Planner], ...]:
        """Each plan with the planner that carries it out."""
        return (self.rows, self.planner), (self.held, self.holdout_model)

    @property
    def prompts(self) -> int:
        """How many prompts have to be inferred."""
        return len(self.rows.changed) + len(self.held.changed)

    def counted(self) -> dict[str, Any]:
        """How many rows are inferred and copied; a prompt that one planner gets twice is inferred once."""
        changed, held = self.rows.source < 0, self.held.source < 0
        anew = int(changed.sum())
        return {
            "rows": len(changed),
            "changed": anew,
            "copied": len(changed) - anew,
            "prompts": self.prompts,
            "calibration": {"rows": len(held), "changed": int(held.sum())},
        }


@dataclass(frozen=True, slots=True)
class PlannerAnswers:
    """Planner rows of the table, and those of held-out windows; `not_asked`: prompts it never saw."""

    rows: PlannerRows
    windows: list[tuple[Window, PlannerRows]]
    not_asked: int = 0

    def calibration(self) -> PlannerRows:
        """The rows of all windows."""
        return PlannerRows.concatenate([rows for _, rows in self.windows])


def infer(
    ctx: RunContext, plan: TablePlan, chosen: ChosenEvidence, planner: Planner | None
) -> PlannerAnswers | None:
    """Infer the rows whose prompt changed, and copy the others from the previous table.

    Args:
        planner: None = plain counts, which infer nothing.

    Returns:
        None without a planner.
    """
    if planner is None:
        return None
    with ctx.run.step("inference") as step:
        planned = plan_inference(ctx, plan, chosen, planner)
        outcomes = carry_out(ctx, planned, step, plan.version)
    answers, held = (outcome.rows for outcome in outcomes)
    edges = np.cumsum([0, *(len(one.contexts) for one in chosen.windows)]).tolist()
    parts = [held.take(slice(start, end)) for start, end in pairwise(edges)]
    if planned.lists:
        answers = listed(ctx, planner, answers, planned.lists[0], ctx.as_of)
        parts = [
            listed(ctx, planner, rows, lists, one.window.start)
            for rows, lists, one in zip(parts, planned.lists[1:], chosen.windows, strict=True)
        ]
    return PlannerAnswers(
        answers,
        [(one.window, rows) for one, rows in zip(chosen.windows, parts, strict=True)],
        sum(outcome.skipped for outcome in outcomes),
    )


def carry_out(
    ctx: RunContext, planned: InferencePlan, step: StepRecord, origin: str
) -> tuple[inference.Outcome, inference.Outcome]:
    """Ask what was planned, say what it should cost and did, and record that in a step.

    Args:
        origin: what the answers are for: the version of a table, or a day.

    Returns:
        What became of the rows, and of those of held-out windows.
    """
    config, run = ctx.config.inference, ctx.run
    expected = say_cost(ctx, planned)
    if planned.prompts:
        say_missing_titles(ctx)
    if planned.prompts and planned.planner.note:
        run.say(f"planner: {planned.planner.note}")
    wanted = [(by, inference.chunks(part, config.chunk)) for part, by in planned.parts if len(part.changed)]
    announce(ctx, wanted)
    start = monotonic()
    # held-out rows first: a planner that is gone later has a weight for the rows that it answered
    backwards = [
        inference.run(
            part,
            answering,
            top=min(config.top, len(ctx.log.interests)),
            chunk=config.chunk,
            origin=origin,
            work=ctx.ws.root / "work",
            progress=run.progress("inference"),
        )
        for part, answering in reversed(planned.parts)
    ]
    held, answers = backwards
    outcomes = answers, held
    seconds = monotonic() - start
    for outcome in outcomes:
        step.add(outcome.usage)
    spent = Usage(step.tokens, step.flops, step.written, step.requests)
    actual = cost_of(run, spent, seconds)
    step.details = {
        **planned.counted(),
        "resumed": sum(outcome.resumed for outcome in outcomes),
        "failed": sum(len(outcome.failures) for outcome in outcomes),
        "not_asked": sum(outcome.skipped for outcome in outcomes),
        "requests": sum(outcome.usage.requests for outcome in outcomes),
        "invalid": sum(outcome.usage.invalid for outcome in outcomes),
        "by": _kind_of_planner(ctx.config),
        "expected": asdict(expected),
        "actual": asdict(actual),
    }
    if planned.prompts:
        run.say(f"inference: {planned.prompts:,} prompts, {actual.told(run.record.currency)}")
    for outcome, (part, _) in zip(outcomes, planned.parts, strict=True):
        if len(outcome.failures) > 3:
            run.say(f"  WARNING: {len(outcome.failures):,} prompts failed, their rows go by counts:")
        for row, reason in outcome.failures[:3]:
            [prompt] = part.prompts.take([row])
            run.say(f"  the planner failed on {prompt.context}: {reason}")
        if outcome.gone:
            run.say(
                f"  WARNING: {outcome.skipped:,} prompts were not asked, their rows go by counts: "
                f"{outcome.gone}"
            )
    return outcomes


def plan_inference(
    ctx: RunContext, plan: TablePlan, chosen: ChosenEvidence, planner: Planner
) -> InferencePlan:
    """Which rows are copied and which must be inferred; nothing is asked yet."""
    wording = wording_of(ctx)
    top, stored = min(ctx.config.inference.top, len(wording.names)), _stored(ctx, plan)
    need_options(ctx, planner)
    lists = short_lists(ctx, plan, chosen)
    options: Sequence[NDArray[np.int16] | None] = (
        [one.options for one in lists] if lists else [None] * (1 + len(chosen.windows))
    )
    rows = Prompts.of(chosen.contexts, wording, chosen.rows, options[0])
    held = Prompts.of(chosen.contexts[:0], wording, Evidence.none(ctx.fitter.k))
    for one, among in zip(chosen.windows, options[1:], strict=True):
        held += Prompts.of(one.contexts, wording, one.evidence, among)
    holdout_model = planner.holdout_model
    return InferencePlan(
        inference.make_plan(rows, planner.version, top, stored),
        inference.make_plan(held, holdout_model.version, top, stored),
        planner,
        holdout_model,
        lists,
    )


def say_cost(ctx: RunContext, planned: InferencePlan) -> Cost:
    """Say what will be inferred and copied, and what that should cost; the planner is loaded only if asked.

    Time follows from the pace of the last inference in the ledger, or of a few prompts where there is none.
    """
    anew, chunk = planned.prompts, ctx.config.inference.chunk
    wanted = [(part, planner) for part, planner in planned.parts if len(part.changed)]
    usage = sum((inference.expected(part, planner, chunk) for part, planner in wanted), Usage())
    seconds = 0.0 if not anew else _seconds(ctx, planned, usage)
    cost = cost_of(ctx.run, usage, seconds)
    rows = planned.counted()
    ctx.run.say(
        f"plan: {rows['changed']:,} of {rows['rows']:,} rows changed, {rows['copied']:,} copied; {anew:,} "
        f"prompts to infer, held-out ones included: about {cost.told(ctx.run.record.currency)}"
    )
    return cost


def _stored(ctx: RunContext, plan: TablePlan) -> PlannerRows | None:
    """Rows of the previous table that may be copied, if it has any of the same width."""
    if plan.previous is None or not (plan.previous.path / "planner").exists():
        return None
    parts = [inference.read(plan.previous.path / name) for name in ("planner", "calibration")]
    wide = parts[0].successors.shape[1] == min(ctx.config.inference.top, len(ctx.log.interests))
    return PlannerRows.concatenate(parts) if wide else None


def listed(
    ctx: RunContext, planner: Planner, rows: PlannerRows, lists: ShortLists, moment: AsOf
) -> PlannerRows:
    """Rows with the lists that they were chosen from, whose mass is such that the table gives it to them."""
    popularity, interests = None, len(ctx.log.interests)
    if planner.abilities.relative:
        popularity = ctx.fitter.counts.base(moment)[rows.successors]
    mass = scale(lists.mass.astype(np.float64), rows.logp, interests, popularity)
    return replace(rows, lists=replace(lists, mass=mass))


def _kind_of_planner(config: Config) -> str:
    """Planners of one kind take alike long."""
    planner = config.planner
    named = [planner.kind, planner.model, planner.mode]
    if planner.kind == "openai":
        named += [planner.endpoint, planner.answers]
    if planner.engine == "vllm":
        named.append(planner.engine)
    return " ".join(named) + f" beam {config.inference.beam}"


def _seconds(ctx: RunContext, planned: InferencePlan, usage: Usage) -> float | None:
    """What inference should take, by the last run that inferred enough to tell; None if nothing tells."""
    kind = _kind_of_planner(ctx.config)
    for record in ctx.ws.ledger.newest_first():
        for step in reversed(record.steps):
            details = step.details
            if step.name == "inference" and details.get("by") == kind and details["prompts"] >= PROBE:
                spent = details["actual"]
                if spent["tokens"]:  # 0 where all of it was resumed
                    return float(spent["seconds"]) / int(spent["tokens"]) * usage.tokens
    if usage.requests:  # a probe would ask before its cost is told
        return None
    paces = [_probed(part, planner) for part, planner in planned.parts if len(part.changed)]
    return None if None in paces else sum(pace for pace in paces if pace is not None)


def _probed(planned: inference.Plan, planner: Planner) -> float | None:
    changed = planned.changed
    if len(changed) < 4 * PROBE:
        return None
    sample = planned.prompts.take(changed[:: len(changed) // PROBE][:PROBE].tolist())
    try:
        planner.rank(sample[: PROBE // 8], 1)  # the first call also loads and compiles
        start = monotonic()
        planner.rank(sample, 1)
    except PlannerError:  # a bad prompt; inference finds and reports it
        return None
    return (monotonic() - start) / len(sample) * len(changed)
