"""The pipeline: three commands, each of them calls of the stages in the order of the picture.

    events + items
      -> interests     tree of clusters, descriptions, assignment of items   (rebuilt rarely, ids stable)
      -> prior         each interest alone -> what a planner expects next    (once, where so configured)
      -> transitions   engagements -> novel successors -> daily counts       (incremental, screened)
      -> tuning        balanced examples -> fine-tuned planner -> gates      (slow path, monthly)
      -> content       what items say, and who engages them, as vectors      (fast path, every few days)
      -> evidence      recent counts -> shrunk, supported, capped successors
      -> inference     contexts whose prompt changed -> ranked successors
      -> counts        fuse planner, sequence model and content with the counts
      -> table         write, verify, publish

`freshet.stages` has a folder for each; requests are answered outside any run, in `serving.recommend`. All is
computed as of a moment from what came before it. Counts are served while the first models train. A step whose
artifact exists is skipped: a killed run goes on where it was. What people decide is in `operations`; what is
due, or held back, in `due`; who is served first, in `experiments.canary`. What is published goes to others
(`exports`), trackers are told (`tracking`); events also come by `streaming`. `wiring` says where all that is.
"""

from __future__ import annotations

from datetime import datetime

from freshet import due
from freshet.core.errors import ConfigError
from freshet.core.ports import Planner, UserStore
from freshet.core.types import AsOf, Experiment, ExperimentArm
from freshet.experiments import canary, isolated_arms
from freshet.experiments.assignment import OwnEvents
from freshet.experiments.feedback import step as feedback
from freshet.experiments.guardrails import guard as guardrails
from freshet.experiments.isolated_arms import Models
from freshet.experiments.measurement.collect import collect
from freshet.experiments.measurement.frozen_rules import kept_columns
from freshet.run_context import LogSnapshot, RunContext
from freshet.serving.user_histories import join_histories
from freshet.stages.content import step as content
from freshet.stages.counts import step as counts
from freshet.stages.counts.fitter import fitter_for
from freshet.stages.events import refused_sources
from freshet.stages.events import step as events
from freshet.stages.evidence import step as evidence
from freshet.stages.inference import step as inference
from freshet.stages.interests import load as load_interests
from freshet.stages.interests import step as interests
from freshet.stages.items import step as items
from freshet.stages.live import step as live
from freshet.stages.prior import step as prior
from freshet.stages.schedule import step as schedule
from freshet.stages.screen import step as screen
from freshet.stages.sequence import step as sequence
from freshet.stages.table import step as table
from freshet.stages.table import table_plan
from freshet.stages.table.churn_gate import halt_on_churn
from freshet.stages.table.crowd_gate import halt_on_crowd
from freshet.stages.transitions import TransitionLog
from freshet.stages.transitions import step as transitions
from freshet.stages.tuning import step as tuning
from freshet.stages.tuning.gate_verdict import with_evidence_of
from freshet.stages.users import step as user_rows
from freshet.storage.artifacts import Artifact
from freshet.storage.ledger import Record, Run
from freshet.storage.workspace import Workspace


def run(
    ws: Workspace,
    now: datetime,
    as_of: AsOf | None = None,
    publish: bool = False,
    users: UserStore | None = None,
) -> Record:
    """Import, then whatever is due; until there is a model, what needs less training is published before it.

    Args:
        as_of: a moment in the past makes the table, but moves `CURRENT` only with `publish`; without one, a
            log that lacks the newest source offered is an error (`events.refused_sources`).
        users: of a workspace that is served, whose day that isn't over is no part of the table: events are
            collected first, and the log's histories joined to it.
    """
    with ws.run("run", str(as_of or "")) as run:
        if users is not None:
            collect(ws, run, users, now)
        if (users is not None or canary.running(ws)) and guardrails.rolled_back(ws, run, now):
            return run.record
        tuning.check_base(ws)
        if ws.config.events.files:
            events.import_sources(ws, run, now, keep=kept_columns(ws))
        if as_of is None:
            refused_sources.check(ws)
        end = due.end_of_log(ws, now if users is not None else None)
        ctx = context_of(ws, run, due.moment(ws, run, as_of, end))
        model = due.accepted_model(ctx)
        publish = publish or due.serves_nobody(ctx, end)
        for known in due.until_models(ctx, model, end, publish):
            refresh_where_due(known, None, end, publish)
            join_histories(ws, run, users)
            ws.give(run)
        if ws.tuner is not None and due.tuning_is_due(ctx, model):
            model = tuning.renew(ctx, ws.tuner)
        if not canary.waits(ws, run):
            refresh_where_due(ctx, model, end, publish)
            rank_items(ctx, end, publish)
        join_histories(ws, run, users)
    return run.record


def finetune(ws: Workspace, as_of: AsOf | None = None) -> Record:
    """The slow path: fine-tune a planner as of a moment and put it through its gates.

    Raises:
        ConfigError: plain counts have nothing to fine-tune.
    """
    if ws.tuner is None:
        raise ConfigError("the configured planner has nothing to fine-tune: see [planner] kind and use")
    with ws.run("finetune", str(as_of or "")) as run:
        tuning.check_base(ws)
        ctx = context_of(ws, run, due.moment(ws, run, as_of, due.end_of_log(ws)))
        tuning.finetune(ctx, ws.tuner, tuning.newest_before(ctx, ws.tuner))
    return run.record


def refresh(
    ws: Workspace,
    as_of: AsOf | None = None,
    publish: bool = False,
    today: datetime | None = None,
    users: UserStore | None = None,
) -> Record:
    """The fast path: refresh evidence as of a moment, infer what changed, verify and publish.

    Args:
        as_of, publish: as in `run`.
        today: the current time, where the workspace is served: the day that isn't over stays live.
        users: of a workspace that is served: experiments are guarded first.
    """
    with ws.run("refresh", str(as_of or "")) as run:
        if today is not None and users is not None and guardrails.rolled_back(ws, run, today):
            return run.record
        if as_of is None:
            refused_sources.check(ws)
        tuning.check_base(ws)
        end = due.end_of_log(ws, today)
        ctx = context_of(ws, run, due.moment(ws, run, as_of, end))
        model = due.accepted_model(ctx)
        if ws.tuner is not None and model is None:
            run.say("no accepted model for this configuration yet: the slow path comes first")
            model = tuning.finetune(ctx, ws.tuner, tuning.newest_before(ctx, ws.tuner))
        refresh_release(ctx, model, end, publish)
        rank_items(ctx, end, publish)
        join_histories(ws, run, users)
    return run.record


def context_of(ws: Workspace, run: Run, as_of: AsOf) -> RunContext:
    """The log as of a moment, and its counts, which are fitted when they are first needed."""
    return RunContext(ws, run, log := snapshot_of(ws, run, as_of), fitter_for(ws.config, log))


def snapshot_of(ws: Workspace, run: Run, as_of: AsOf, rebuild: bool = False) -> LogSnapshot:
    """Bring interests, assignment of items and transitions up to date with the log before as_of, screened.

    Args:
        rebuild: form the interests anew; ids are kept.
    """
    days, window = events.snapshot(ws, run, as_of)
    catalogue = events.items(ws, run)
    formed = interests.form(ws, run, as_of, days, catalogue, rebuild)
    assignment = interests.assign(ws, run, days, catalogue, formed)
    loaded = load_interests(formed.path)
    asked = prior.ask(ws, run, loaded, formed.version)
    counted = transitions.count(ws, run, days, formed, assignment, len(loaded))
    log, scales = TransitionLog(counted.path, ws.pool, len(loaded)), interests.scales_of(formed, ws.config)
    known = LogSnapshot(as_of, loaded, formed.version, log, counted.version, scales, window, prior=asked)
    return screen.hold_back(ws, run, known)


def make_table(
    ctx: RunContext,
    model: Artifact | None,
    previous: Artifact | None,
    mixed: Artifact | None,
    evidence_until: AsOf | None = None,
    planner: Planner | None = None,
) -> Artifact:
    """The verified table of one moment; nothing is inferred that the previous table answers.

    Args:
        model: of the planner that answers where a prompt changed; None = plain counts.
        previous: the table before: what it answers is copied, and its evidence steadies prompts.
        mixed: the sequence model whose score may enter the mixture; None = none.
        evidence_until: prompts name nothing that came later (replay measures what fresh evidence is worth).
        planner: the model's, where it is in memory already; None = it is loaded if a prompt changed.
    """
    ctx = ctx.with_workspace(with_evidence_of(ctx.ws, model.version if model else ""))
    planner = planner or tuning.planner_for(ctx, model)
    described = content.make(ctx)
    plan = table_plan.plan_table(ctx, model, previous, mixed, described, evidence_until)
    made = table.find(ctx, plan)
    if made is None:
        chosen = evidence.choose(ctx, plan)
        answers = inference.infer(ctx, plan, chosen, planner)
        fusion = counts.fuse(ctx, planner, answers, mixed, described)
        made = table.build(ctx, plan, chosen, planner, answers, fusion)
    table.verify(ctx, made)
    return made


def refresh_where_due(ctx: RunContext, model: Artifact | None, end: AsOf, publish: bool) -> None:
    """A release where none serves, where it would be made otherwise by now, or where the policy says so."""
    ws, run, current = ctx.ws, ctx.run, ctx.ws.releases.current()
    if current is None or due.differs(ctx, model, current):
        refresh_release(ctx, model, end, publish)
    elif (decision := schedule.decide(ctx, due.refreshes(ws, current))).refresh:
        if ws.config.schedule.policy != "fixed":
            run.say(f"refresh: {decision.why}")
        refresh_release(ctx, model, end, publish)
    else:
        run.say(f"release {current.number} of {current.as_of} stays: {decision.why}")
        run.record.release = current.number


def refresh_release(ctx: RunContext, model: Artifact | None, end: AsOf, publish: bool) -> None:
    """Make what serves as of a moment, and publish it unless something holds it back."""
    mixed, planner = sequence.for_mixture(ctx), tuning.planner_for(ctx, model)
    made = make_table(ctx, model, table_plan.previous_of(ctx.ws, ctx.log), mixed, planner=planner)
    overlay = live.make(ctx, made)
    if not publish and (held_back := due.held_back(ctx, made, end)):
        ctx.run.say(f"table {made.version} as of {ctx.as_of} {held_back}: CURRENT stays (--publish moves it)")
        return
    reactions = feedback.make(ctx)
    ranker = items.at_hand(ctx.ws, ctx.run, ctx.log)
    companions = table.Companions.of(overlay, ranker, reactions, user_rows.beside(ctx, made, planner))
    halt_on_crowd(ctx, made, companions)
    halt_on_churn(ctx, made, companions)
    canary.publish(ctx.ws, ctx.run, made, companions, at_once=publish)
    for experiment, arm in isolated_arms.arms(ctx.ws, ctx.run):
        refresh_arm(ctx, experiment, arm, (model, mixed))


def rank_items(ctx: RunContext, end: AsOf, publish: bool) -> None:
    """Train the ranker of items where that is due, and publish the table again beside it."""
    release = due.release_to_rank(ctx, end, publish)
    if release is not None and (ranker := items.renewed(ctx.ws, ctx.run, ctx.log, release.ranker)):
        canary.publish_ranker(ctx.ws, ctx.run, release, ranker, at_once=publish)


def refresh_arm(ctx: RunContext, experiment: Experiment, arm: ExperimentArm, models: Models) -> None:
    """The same for an isolated arm, by its own log and, unless interests are new, the models of its start."""
    own, before = isolated_arms.own_context(ctx, experiment, arm)
    if before.interests == own.log.interests_version:
        models = isolated_arms.models_of(own.ws, before)
    else:
        own.run.say(f"{experiment.name}/{arm.name}: interests are new, so models are everybody's from now on")
    model, mixed = models
    made = make_table(own, model, table_plan.previous_for(own.ws, own.log, before), mixed)
    reactions = feedback.make(own, OwnEvents(experiment, arm.name))
    beside = table.Companions.of(live.make(own, made), "", reactions, user_rows.beside(own, made))
    table.publish_for_arm(own, made, beside, experiment, arm.name)
