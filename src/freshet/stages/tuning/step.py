"""Step: the slow path. Choose samples, fine-tune, judge; a failed gate waits for a person."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from freshet.core.errors import AnswersPending, ConfigError, NotEnoughData, PlannerGone
from freshet.core.ports import Begin, Budget, Candidates, Tuner, TuningJob, TuningPlan
from freshet.core.prompts import NEXT, names
from freshet.core.types import AsOf, Context, ContextEvidence, Example, Transitions, pack_contexts
from freshet.run_context import LogSnapshot, RunContext
from freshet.stages import tuning
from freshet.stages.evidence.step import gather
from freshet.stages.prompts import workspace_wording as prompts
from freshet.stages.prompts.step import lists_before
from freshet.stages.prompts.workspace_wording import wording_of
from freshet.stages.tuning.gate_passing import pass_gates
from freshet.stages.tuning.gate_verdict import Verdict, verdict
from freshet.stages.tuning.lazy_planner import HOLDOUT_MODEL, MODEL, LazyPlanner
from freshet.storage.artifacts import Artifact, newest, newest_first
from freshet.storage.build_once import build_once
from freshet.storage.ledger import StepRecord
from freshet.storage.manifests import FromTransitions, ModelManifest
from freshet.storage.training_budget import Trainings
from freshet.storage.warm_starts import begins_anew, is_sound, may_follow, origin, share_of_epochs
from freshet.storage.workspace import TRAININGS, Workspace, version_of

CODE = 4

ROOM = 100_000_000
"""Transitions times interests that are held in memory to choose samples from."""


OF_THE_TUNER = ("precision", "gradient_checkpointing", "micro_batch", "hosted")
"""Settings that are in the tuner's own recipe, if they decide anything."""


def accepted(ws: Workspace, log: LogSnapshot, as_of: AsOf) -> Artifact | None:
    """The newest model tuned at or before as_of that passed its gates or was approved."""
    return _newest(ws, log, as_of, ("passed", "approved"))


def attempted(ws: Workspace, log: LogSnapshot, as_of: AsOf) -> Artifact | None:
    """The newest model tuned at or before as_of and judged, whatever the verdict."""
    return _newest(ws, log, as_of, ("passed", "approved", "waiting", "rejected"))


def _newest(ws: Workspace, log: LogSnapshot, as_of: AsOf, verdicts: Sequence[Verdict]) -> Artifact | None:
    settings = _settings(ws, log)

    def fits(artifact: Artifact) -> bool:
        manifest = ModelManifest.of(artifact)
        recent = manifest.as_of <= str(as_of)
        return recent and _fits(manifest, settings) and verdict(ws, artifact.version) in verdicts

    return newest(ws.store, "models", fits)


def check_base(ws: Workspace) -> None:
    """Check what a planner's first tuning starts from; done before the log is read, which may take long.

    Where the planner was tuned before, its base is checked when a tuning is due again: nothing else needs it.

    Raises:
        ConfigError: it can't be tuned.
        MissingExtra: a package is not installed.
    """
    if ws.tuner is None:
        return
    prompts.check_template(ws)
    wanted = prompts.planner_of(ws, ws.tuner)
    found = map(ModelManifest.of, newest_first(ws.store, "models"))
    if not any(_fits(model, model.settings | wanted) for model in found):
        ws.tuner.check(planned(ws))


def planned(ws: Workspace, descriptions: Sequence[str] = ()) -> TuningPlan:
    """What a tuning will ask of its base; without descriptions as long as there are no interests."""
    lengths = {"none": 0, "global": 10 * ws.config.evidence.top}
    return TuningPlan(
        descriptions,
        ws.config.planner.mode,
        max(ws.config.transitions.k, ws.config.users.k if ws.config.users.rows else 0),
        lengths.get(ws.config.evidence.level, ws.config.evidence.top),
        ws.config.tuning.lora_rank,
        ws.config.tuning.batch_size,
    )


def finetune(ctx: RunContext, tuner: Tuner, earlier: Artifact | None = None) -> Artifact:
    """Tune a model on what came before the held-out windows, judge it on them, and refit it on all.

    The table's answers come from the refitted model, its gates and its weight from the holdout model: a
    planner may have seen the held-out windows, or be measured on them, but not both. What may be offered
    plays no part: blocking an interest is no reason to tune anew.

    Where the tuner can, the holdout model begins at that of the model before, and the refitted one at the new
    holdout model: neither has seen anything that the gates judge on.

    A model that is not trained here is not lost because its server is gone: the accepted one stays then.

    Args:
        earlier: whose holdout model tuning begins at, where it may be; None = at the base.

    Raises:
        ConfigError: the base checkpoint can't be tuned; raised before samples are chosen.
        AnswersPending: it is tuned elsewhere, or the gates' prompts are out; the same command goes on later.
        PlannerGone: the model's server doesn't answer, and there is none that was accepted before.
        GateFailed: the run waits for `freshet approve` or `freshet reject`; the last release keeps serving.
        NotEnoughData: there are no transitions to tune or to judge on.
    """
    ws, run, log, holdout = ctx.ws, ctx.run, ctx.log, ctx.fitter.holdout
    settings = _settings(ws, log)
    before = earlier if earlier is not None and _may_begin_at(ctx, tuner, earlier) else None
    if before is not None and begins_anew(ModelManifest.of(before)):
        before = None
    key = version_of(
        transitions=log.version,
        as_of=log.as_of,
        every=holdout.stretch_days,
        settings=settings,
        **({"start": before.version} if before is not None else {}),
    )

    def build(folder: Path, step: StepRecord) -> ModelManifest:
        plan = planned(ws, log.interests.descriptions)
        tuner.check(plan)
        forecast = tuner.forecast(plan)
        if forecast:
            run.say(forecast)
        kept = ws.root / TRAININGS / key
        trainings = Trainings(run, step, ws.config.tuning)
        pending: list[AnswersPending] = []
        begin = None if before is None else _weights_of(before)
        begun, learned = list[bool](), list[int]()
        for name, until in _trainings(ctx, tuner):
            chosen = _chosen(ctx, until) if tuner.trains else None
            job = _job(ctx, chosen, until, trainings.budget(name), kept / name)
            if begin is not None and chosen is not None:
                share = share_of_epochs(chosen.day, *begin[1:])
                job = replace(job, begin=Begin(begin[0], share) if share < 1 else None)
            begun.append(job.begin is not None)
            learned.append(len(job.examples))
            if tuner.continues_models(job.mode):
                begin = (folder / name, until, learned[-1])
            try:
                report = tuner.tune(job, folder / name, run.progress("tuning"))
            except AnswersPending as error:  # trained elsewhere; the next one is begun meanwhile
                pending.append(error)
            else:
                trainings.end(name, report)
        if pending:
            raise ctx.pending(pending)
        step.details |= {
            "examples": report.examples,
            "epochs": round(report.epochs, 2),
            "base": report.base,
            "loss": report.losses[-1] if report.losses else None,
        }
        return ModelManifest(
            as_of=str(log.as_of),
            tuned_before=str(holdout.start),
            settings=settings,
            inputs=FromTransitions(transitions=log.version, interests=log.interests_version),
            examples=report.examples,
            base=report.base,
            **origin(ws, before, begun=begun[0], learned=learned[0], since=log.window[0]),
            **trainings.summary(),
        )

    try:
        model = build_once(ws, run, "tuning", "models", key, build)
        shutil.rmtree(ws.root / TRAININGS, ignore_errors=True)  # what trainings kept: the model is there
        pass_gates(ctx, LazyPlanner(tuner, model, log.interests).holdout_model, key)
    except PlannerGone as error:
        before = accepted(ws, log, log.as_of)
        if before is None:
            raise
        run.say(f"  WARNING: model {before.version} stays, a new one can't be judged: {error}")
        return before
    return model


def renew(ctx: RunContext, tuner: Tuner) -> Artifact:
    """As `finetune`; where that waits for a server, the accepted model goes on serving meanwhile.

    Raises:
        AnswersPending: there is none that was accepted before.
    """
    try:
        return finetune(ctx, tuner, newest_before(ctx, tuner))
    except AnswersPending as pending:
        before = accepted(ctx.ws, ctx.log, ctx.as_of)
        if before is None:
            raise
        ctx.run.say(f"model {before.version} stays until a new one is judged: {pending.message}")
        return before


def newest_before(ctx: RunContext, tuner: Tuner) -> Artifact | None:
    """The newest accepted model that a tuning may begin at.

    A tuning of this very moment that was made before decides it, so that what was approved since doesn't let
    the same command tune again.
    """
    if not tuner.continues_models(ctx.config.planner.mode):
        return None
    ws, log, settings = ctx.ws, ctx.log, _settings(ctx.ws, ctx.log)

    def again(artifact: Artifact) -> bool:
        made = ModelManifest.of(artifact)
        same_log = made.as_of == str(log.as_of) and made.inputs.transitions == log.version
        return same_log and _fits(made, settings)

    def fits(artifact: Artifact) -> bool:
        accepted = verdict(ws, artifact.version) in ("passed", "approved")
        return accepted and _may_begin_at(ctx, tuner, artifact)

    if made := newest(ws.store, "models", again):
        start = ModelManifest.of(made).start
        return ws.store.find("models", start) if start else None
    return newest(ws.store, "models", fits)


def _may_begin_at(ctx: RunContext, tuner: Tuner, earlier: Artifact) -> bool:
    """Whether its holdout model fits, and has not seen what the gates judge on now."""
    made = ModelManifest.of(earlier)
    blind = made.tuned_before <= str(ctx.fitter.holdout.start)
    fits = tuner.continues_models(ctx.config.planner.mode) and _fits(made, _settings(ctx.ws, ctx.log))
    follows = may_follow(ctx.ws, made, ctx.as_of, ctx.log.window[0])
    return blind and fits and follows and is_sound(ctx.run, earlier)


def _judged(model: Artifact) -> str:
    """Folder of what was judged: the holdout model, or the only one."""
    return HOLDOUT_MODEL if (model.folder / HOLDOUT_MODEL).exists() else MODEL


def _weights_of(model: Artifact) -> tuple[Path, AsOf, int]:
    """Folder of what was judged, the moment that it was tuned before, and the rows that it learned from."""
    made = ModelManifest.of(model)
    return model.path / _judged(model), AsOf.parse(made.tuned_before), made.learned


def planner_for(ctx: RunContext, model: Artifact | None) -> LazyPlanner | None:
    """The planner of a tuned model, loaded at its first query; None for plain counts."""
    tuner = ctx.ws.tuner
    return None if tuner is None or model is None else LazyPlanner(tuner, model, ctx.log.interests)


def _trainings(ctx: RunContext, tuner: Tuner) -> list[tuple[str, AsOf]]:
    """What is tuned: the folder of each model, and the moment before which its examples lie."""
    start = ctx.fitter.holdout.start
    if not (ctx.config.tuning.refit and tuner.trains):
        return [(MODEL, start)]
    return [(HOLDOUT_MODEL, start), (MODEL, ctx.as_of)]


def _chosen(ctx: RunContext, until: AsOf) -> Transitions:
    """The transitions before a moment to tune on, ordered by day."""
    config = ctx.config.tuning
    # of a longer log a sample of users, whose latest transitions then reach further back
    limit = max(config.max_examples, ROOM // len(ctx.log.interests))
    rows = ctx.log.transitions.between(settled(ctx), until, limit).with_context()
    if not ctx.fitter.holdout.windows or len(rows) < 10:
        raise NotEnoughData(
            f"{len(rows)} transitions with a context before {until} are too few to tune on",
            hint='import more events, or set [planner] kind = "counts"',
        )
    per_label = config.examples_per_label
    if per_label == 0 and ctx.config.planner.kind in ("transformers", "openai"):
        per_label = 10
    chosen: Transitions = rows.take(tuning.balanced(rows, ctx.fitter.k, per_label))
    if len(chosen) > config.max_examples:
        chosen = chosen.take(np.arange(len(chosen) - config.max_examples, len(chosen)))
    return chosen


def _examples(ctx: RunContext, chosen: Transitions) -> list[Example]:
    """The chosen transitions in words, in their order."""
    config, k = ctx.config.tuning, ctx.fitter.k

    def before(day: int, contexts: Sequence[Context]) -> Mapping[Context, ContextEvidence]:
        return gather(ctx, AsOf.from_day_number(day), pack_contexts(contexts, k))

    ctx.run.say(f"wording {len(chosen):,} samples with the evidence of their time")
    return tuning.make_examples(
        chosen,
        wording_of(ctx),
        before,
        k=k,
        window_days=ctx.log.scales.window_days,
        evidence_share=0.0 if ctx.config.evidence.level == "none" else config.evidence_share,
        seed=config.seed,
        options_before=lists_before(ctx),
        longest=users.k if (users := ctx.config.users).rows else 0,
    )


def settled(ctx: RunContext) -> AsOf:
    """From when on 'novel' can be believed: in a log's first H days everything is.

    At most a quarter of what comes before the held-out windows is given up for it.
    """
    first = AsOf.parse(ctx.log.window[0])
    most = (ctx.fitter.holdout.start.day - first.day).days // 4
    days = ctx.config.transitions.novelty_days
    return first.minus(-max(0, most if days == "ever" else min(days, most)))


def _candidates(ctx: RunContext, chosen: Transitions) -> Candidates:
    """What each successor was chosen from, and how popular that was before the window it happened in."""
    days = ctx.log.scales.window_days
    starts, window = np.unique(chosen.day // days * days, return_inverse=True)
    moments = [AsOf.from_day_number(start) for start in starts.tolist()]
    popularity = np.log([ctx.fitter.counts.base(moment) for moment in moments])
    return Candidates(chosen.known, popularity.astype(np.float32), window)


def _job(ctx: RunContext, chosen: Transitions | None, until: AsOf, budget: Budget, kept: Path) -> TuningJob:
    config, mode, interests = ctx.config.tuning, ctx.config.planner.mode, ctx.log.interests
    return TuningJob(
        interests=interests,
        examples=[] if chosen is None else _examples(ctx, chosen),
        corpus=[*names(interests.descriptions, mode), NEXT],
        mode=mode,
        epochs=config.epochs,
        learning_rate=config.learning_rate,
        batch_size=config.batch_size,
        lora_rank=config.lora_rank,
        budget=budget,
        seed=config.seed,
        candidates=None if chosen is None else _candidates(ctx, chosen),
        until=str(until),
        template=wording_of(ctx).version,
        kept=kept,
    )


def _settings(ws: Workspace, log: LogSnapshot) -> dict[str, object]:
    """What a model must agree with to be used."""
    if ws.tuner is None:
        raise ConfigError("this workspace was opened without a tuner of planners")
    evidence = ws.config.evidence
    worded = evidence.model_dump(exclude={"hysteresis", "level"}) | {"level": evidence.forced}
    return {
        "code": CODE,
        **prompts.planner_of(ws, ws.tuner),
        "tuning": ws.config.tuning.model_dump(exclude={"every_days", *OF_THE_TUNER}),
        "evidence": None if evidence.level == "none" else worded,
        "fit_examples": ws.config.counts.fit_examples,  # evidence is shrunk as counts are
        "transitions": ws.config.transitions.model_dump(),
        "interests": log.interests_version,
        "scales": log.scales.as_dict(),
        **({"users": ws.config.users.k} if ws.config.users.rows else {}),
    }


def _fits(model: ModelManifest, settings: dict[str, object]) -> bool:
    """Whether a model was made so. From what doesn't matter where that is gone: only tunings read it."""
    made = model.settings
    return made == (settings if settings["recipe"] else settings | {"recipe": made["recipe"]})
