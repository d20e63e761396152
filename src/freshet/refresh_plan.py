"""What the next refresh would ask of a planner, and what that should cost: nothing is made or asked."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import datetime

from freshet import due, pipeline
from freshet.core.errors import NotEnoughData
from freshet.core.ports import Planner
from freshet.core.types import AsOf, Usage
from freshet.stages.content import step as content
from freshet.stages.evidence import step as evidence
from freshet.stages.inference import step as inference
from freshet.stages.inference.cost import cost_of
from freshet.stages.prior import step as prior
from freshet.stages.sequence import step as sequence
from freshet.stages.table import table_plan
from freshet.stages.tuning import planner_evaluation
from freshet.stages.tuning import step as tuning
from freshet.stages.tuning.gate_verdict import with_evidence_of
from freshet.storage.artifacts import Artifact
from freshet.storage.ledger import Record, Run
from freshet.storage.workspace import Workspace


def plan(ws: Workspace, as_of: AsOf | None = None, today: datetime | None = None) -> Record:
    """What a refresh as of a moment would infer and copy, and what that should cost; nothing is made.

    Of a model behind a server it tells that before the first run, too, with what judging it would ask.
    """
    with ws.run("plan", str(as_of or "")) as run:
        if ws.prior_tuner is not None and _prior_is_planned(ws, run, as_of, today):
            return run.record
        ctx = pipeline.context_of(ws, run, due.moment(ws, run, as_of, due.end_of_log(ws, today)))
        model = due.accepted_model(ctx)
        planner: Planner | None = tuning.planner_for(ctx, model)
        judging = Usage()
        if ws.tuner is not None and planner is None:
            planner = ws.tuner.preview(ctx.log.interests)
            if planner is None:
                raise NotEnoughData(
                    "there is no accepted model for this configuration to plan with",
                    hint="`freshet finetune` makes one, as `freshet run` does when it is due",
                )
            judging = planner_evaluation.cost(ctx, planner)
        ctx = ctx.with_workspace(as_asked(ws, model))
        mixed = sequence.young(ws, ctx.log) if ws.config.sequence.use else None
        described = content.find(ctx)
        planned = table_plan.plan_table(ctx, model, table_plan.previous_of(ws, ctx.log), mixed, described)
        made = ws.store.find("tables", planned.version) is not None
        if made or planner is None:
            why = "the table is made already" if made else "plain counts infer nothing"
            with run.step("plan") as step:
                step.details = {"rows": len(planned.contexts), "changed": 0, "why": why}
            run.say(f"plan: 0 of {len(planned.contexts):,} rows to infer, {why}")
            return run.record
        if model is None:  # held-out windows are asked about, too
            planned = replace(planned, model="not made yet")
        chosen = evidence.choose(ctx, planned)
        with run.step("plan") as step:
            inferred = inference.plan_inference(ctx, planned, chosen, planner)
            step.details = {
                **inferred.counted(),
                "expected": asdict(inference.say_cost(ctx, inferred)),
            }
            if ws.config.users.rows:
                most = ws.config.users.rows
                run.say(f"user rows come on top: up to {most:,} users' own prompts, and held-out ones")
            if model is None:
                cost = cost_of(run, judging, None)
                step.details["gates"] = asdict(cost)
                run.say(f"before that, the gates judge the model: about {cost.told(run.record.currency)}")
        _say_prices_are_missing(ws, run)
    return run.record


def _prior_is_planned(ws: Workspace, run: Run, as_of: AsOf | None, today: datetime | None) -> bool:
    """Plan what a planner must be asked beforehand, if anything: what is left to do then follows from it."""
    moment = due.moment(ws, run, as_of, due.end_of_log(ws, today))
    log = pipeline.snapshot_of(replace(ws, prior_tuner=None), run, moment)
    expected = prior.expected(ws, log.interests, log.interests_version)
    if not expected.prompts:
        return False
    why = "a planner is asked about interests before anything is counted"
    cost = cost_of(run, expected.usage, None)
    with run.step("plan") as step:
        step.details = {"rows": len(log.interests), "changed": expected.prompts, "why": why}
        step.details["expected"] = asdict(cost)
        step.details["prompts"] = expected.prompts
    run.say(f"plan: {expected.prompts:,} prompts of the prior, about {cost.told(run.record.currency)}")
    _say_prices_are_missing(ws, run)
    return True


def _say_prices_are_missing(ws: Workspace, run: Run) -> None:
    """Zero money for a server's answers may mean that they are free, or that nobody told their price."""
    prices = ws.config.prices
    if ws.config.planner.kind == "openai" and not (
        prices.per_million_tokens or prices.per_million_tokens_written
    ):
        run.say("the money leaves tokens out: [prices] per_million_tokens is not set")


def as_asked(ws: Workspace, model: Artifact | None) -> Workspace:
    """The workspace with prompts as they will be; before a model is judged, the longest that they may be."""
    if ws.tuner is None or model is not None:
        return with_evidence_of(ws, model.version if model else "")
    evidence = ws.config.evidence
    level = evidence.forced if evidence.level == "auto" else evidence.level
    asked = ws.config.model_copy(update={"evidence": evidence.model_copy(update={"level": level})})
    return replace(ws, config=asked)
