"""What is due as of a moment, and what holds a finished table back from serving."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from freshet.core.types import AsOf
from freshet.experiments import canary
from freshet.experiments.feedback import step as feedback
from freshet.run_context import RunContext
from freshet.stages.events.step import latest, newest_event
from freshet.stages.items import step as items
from freshet.stages.live import step as live
from freshet.stages.sequence import step as sequence
from freshet.stages.table import churn_gate, table_plan
from freshet.stages.tuning import step as tuning
from freshet.stages.tuning.gate_verdict import with_evidence_of
from freshet.stages.users import step as users
from freshet.storage import rollback
from freshet.storage.artifacts import Artifact
from freshet.storage.ledger import Record, Run
from freshet.storage.manifests import ModelManifest, RankerManifest, TableManifest
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace


def end_of_log(ws: Workspace, today: datetime | None = None) -> AsOf:
    """The latest moment that a table can be of: the end of the log, without the day that isn't over."""
    end = latest(ws)
    return end if today is None else min(end, AsOf(today.astimezone(UTC).date()), key=str)


def moment(ws: Workspace, run: Run, as_of: AsOf | None, end: AsOf) -> AsOf:
    """The moment to compute as of: the one wished for, or the end of the log; never after it."""
    known, last = latest(ws), newest_event(ws)
    if end == known and last.day > known.day:
        if as_of is not None:
            end = last  # a person knows better
        else:
            run.say(f"as of {known}: the few events after it may be wrong dates (--as-of {last} takes them)")
    chosen = as_of or end
    if chosen.day > end.day:
        why = f"the log ends before {end}" if end in (known, last) else f"{end} is not over and stays live"
        run.say(f"{why}: as of {end}, not {chosen}")
        chosen = end
    run.record.newest = as_of is None
    before = pending_run(ws, run.record.id) if as_of is None and _asks(run.record) else None
    if before is not None and before.newest:
        if before.as_of != str(chosen):
            run.say(
                f"this goes on as of {before.as_of}, for which run {before.id} waits for answers "
                f"(--as-of {chosen} leaves that)"
            )
        chosen = AsOf.parse(before.as_of)
    run.record.as_of = str(chosen)
    return chosen


def pending_run(ws: Workspace, but: str = "") -> Record | None:
    """The last run that asked a planner, where it waits for the answers.

    Args:
        but: id of a run that doesn't count.
    """
    asked = (record for record in ws.ledger.newest_first() if record.id != but and _asks(record))
    last = next(asked, None)
    return last if last is not None and last.outcome == "pending" else None


def _asks(record: Record) -> bool:
    """Whether a run asks a planner, and may wait for its answers."""
    return record.command.split()[0] in ("run", "refresh", "finetune")


def accepted_model(ctx: RunContext) -> Artifact | None:
    """The newest model of this configuration that passed its gates or was approved; None for plain counts."""
    return None if ctx.ws.tuner is None else tuning.accepted(ctx.ws, ctx.log, ctx.as_of)


def tuning_is_due(ctx: RunContext, model: Artifact | None) -> bool:
    """Whether there is no model to use, or the last attempt, even a rejected one, is too old.

    Where the slow path has times of its own (`[schedule] tune_cron`), its age doesn't matter.
    """
    last = tuning.attempted(ctx.ws, ctx.log, ctx.as_of)
    if model is None or last is None:
        return True
    if ctx.config.schedule.tune_cron:
        return False
    next_due = AsOf.parse(ModelManifest.of(last).as_of).day + timedelta(days=ctx.config.tuning.every_days)
    return next_due <= ctx.as_of.day


def until_models(ctx: RunContext, model: Artifact | None, end: AsOf, publish: bool) -> Iterator[RunContext]:
    """The same run by what needs less training, the least first, as long as the planner's model is to come.

    Counts and content need none; the sequence model comes next. Nothing where a model serves already, where
    nothing would be published, and while a canary runs.

    Args:
        model: the accepted one, None = none is.
    """
    ws, current = ctx.ws, ctx.ws.releases.current()
    if (current is not None and current.model) or (not publish and _is_past(ctx, end)) or canary.running(ws):
        return
    tuned = ws.tuner is not None and model is None
    trained = ws.config.sequence.use and sequence.young(ws, ctx.log) is None
    table = ws.store.find("tables", current.table) if current is not None else None
    if (tuned or trained) and (table is None or "sequence" not in TableManifest.of(table).settings):
        without = ws.config.sequence.model_copy(update={"use": False})
        by_counts = ws.config.model_copy(update={"sequence": without})
        yield ctx.with_workspace(replace(ws, config=by_counts, tuner=None))
    if tuned and ws.config.sequence.use:
        yield ctx.with_workspace(replace(ws, tuner=None))


def serves_nobody(ctx: RunContext, end: AsOf) -> bool:
    """Whether nothing was published yet, so that nobody is there to be spared what a first run publishes."""
    return ctx.ws.releases.current() is None and not _is_past(ctx, end)


def release_to_rank(ctx: RunContext, end: AsOf, publish: bool) -> Release | None:
    """The release that a new ranker of items may join: the one that a canary tries, or the current one."""
    ws, trial = ctx.ws, canary.running(ctx.ws)
    release = ws.releases.get(canary.tried(trial)) if trial is not None else ws.releases.current()
    if release is None or release.interests != ctx.log.interests_version or release.as_of > str(ctx.as_of):
        return None
    made = ws.store.find("tables", release.table)
    return None if made is None or (not publish and held_back(ctx, made, end)) else release


def differs(ctx: RunContext, model: Artifact | None, current: Release) -> bool:
    """Whether model, interests or settings are no longer those of the current release, or answers lack."""
    table = ctx.ws.store.find("tables", current.table)
    return (
        (table is not None and TableManifest.of(table).not_asked > 0)
        or current.model != (model.version if model else "")
        or current.interests != ctx.log.interests_version
        or _settings_changed(ctx, current)
    )


def refreshes(ws: Workspace, current: Release) -> list[AsOf]:
    """Moments of the releases until the current one, ascending."""
    numbers = [number for number in ws.releases.numbers() if number <= current.number]
    made = {ws.releases.get(number).as_of for number in numbers}
    return [AsOf.parse(day) for day in sorted(made) if day <= current.as_of]


def held_back(ctx: RunContext, made: Artifact, end: AsOf) -> str:
    """Why a verified table is not published without a person's word, or ''."""
    current = ctx.ws.releases.current()
    if _is_past(ctx, end):
        return "is of the past"
    if current is not None and current.as_of > str(ctx.as_of):
        return f"is older than release {current.number}"
    if rollback.was_rolled_back(ctx.ws, made.version):
        return "was rolled back"
    if reason := rollback.held_by_guardrail(ctx.ws):
        return f"waits for a person since a rollback ({reason})"
    return "was rejected" if churn_gate.verdict(ctx.ws, made.version) == "rejected" else ""


def _is_past(ctx: RunContext, end: AsOf) -> bool:
    """Whether somebody wanted a moment that isn't the newest one."""
    return ctx.as_of.day < end.day and not ctx.run.record.newest


def _settings_changed(ctx: RunContext, release: Release) -> bool:
    """Whether settings that decide what is in a part of the release have changed since it was made."""
    ws = ctx.ws

    def changed(kind: str, version: str, settings: dict[str, Any]) -> bool:
        made = ws.store.find(kind, version) if version else None
        return made is not None and made.manifest.get("settings") != settings

    uses = ws.config.live.use, ws.config.ranker.use, feedback.wanted(ws), users.wanted(ws)
    if uses != tuple(map(bool, (release.overlay, release.ranker, release.feedback, release.users))):
        return True
    ranker = ws.store.find("rankers", release.ranker) if release.ranker else None
    trained = RankerManifest.of(ranker).inputs.itemmodel if ranker is not None else ""
    return (
        changed("tables", release.table, table_plan.settings_of(with_evidence_of(ws, release.model)))
        or changed("overlays", release.overlay, live.configured(ws))
        or changed("user_rows", release.users, users.configured(ws))
        or changed("feedback", release.feedback, feedback.configured(ws))
        or (bool(trained) and changed("itemmodels", trained, items.settings_of(ws, ctx.log)))
    )
