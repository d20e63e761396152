"""The pipeline, top to bottom. Each call below is one step; `freshet.steps` holds them in this order.

    events + items
      -> interests     tree of clusters, descriptions, assignment of items   (rebuilt rarely, ids stable)
      -> transitions   engagements -> novel successors -> daily counts       (incremental)
      -> tuning        balanced examples -> fine-tuned planner -> gates      (slow path)
      -> evidence      recent counts -> shrunk, supported, capped successors (fast path)
      -> inference     contexts whose prompt changed -> ranked successors
      -> table         fuse, verify, publish

Beside the table lies what else serves: the live overlay, what people did with proposals, a ranker of items.
While an experiment runs, its arms are judged before anything is refreshed (`guard`), and separated arms get
tables of their own.

Everything is computed as of a moment and reads only what was known before it. A step whose output exists is
skipped, so a killed run continues where it was and a repeated one changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from freshet.context import LogSnapshot, learn
from freshet.core.errors import ConfigError, NotEnoughData
from freshet.core.ports import Artifact, UserStore
from freshet.core.types import AsOf, CadenceDecision, Experiment, ExperimentArm
from freshet.experiments import isolated_arms as separating
from freshet.experiments import lifecycle as experimenting
from freshet.experiments.assignment import OwnEvents
from freshet.experiments.feedback import step as feedback
from freshet.experiments.guardrails import guard as guarding
from freshet.experiments.guardrails.guard import Guarded
from freshet.experiments.measurement.collect import Collected, collect
from freshet.serving.user_histories import remember
from freshet.stages.counts.fitter import CountFitter, fitter_for
from freshet.stages.events import ImportReport
from freshet.stages.events import refusals as offered
from freshet.stages.events.step import committed, import_sources, item_sources, items, latest, newest, overlap
from freshet.stages.items import step as ranking
from freshet.stages.live import step as overlays
from freshet.stages.schedule import step as cadence
from freshet.stages.sequence import step as sequencing
from freshet.stages.table import churn_gate as churn
from freshet.stages.table.step import (
    check,
    foresee,
    make_table,
    previous_for,
    previous_of,
    publish,
    publish_for,
    settings_of,
)
from freshet.stages.tuning.evaluation import as_judged
from freshet.stages.tuning.lazy_planner import LazyPlanner
from freshet.stages.tuning.step import accepted, attempted, finetune, ready
from freshet.storage import rollback as rolling
from freshet.storage.lease import Lease
from freshet.storage.ledger import Record, Run
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace


def run_due(
    ws: Workspace,
    now: datetime,
    as_of: AsOf | None = None,
    force_publish: bool = False,
    state: UserStore | None = None,
) -> Record:
    """Import, then whatever is due: the slow path if the model is too old, the fast path if the table is.

    A moment in the past makes the table but moves `CURRENT` only when told to. Without a moment, a log that
    lacks the newest source offered is an error (`steps.offered`).

    Args:
        state: of a workspace that is served: its events are collected first, and the log's histories joined
            to it at the end. The day that isn't over stays live: it is no part of the table.
    """
    with ws.run("run", str(as_of or "")) as run:
        if state is not None:
            collect(ws, run, state, now)
            if _harmed(ws, run, now):
                return run.record
        ready(ws)
        if ws.config.events.files:
            import_sources(ws, run, now)
        if as_of is None:
            offered.check(ws)
        end = _end(ws, now if state is not None else None)
        moment = _moment(ws, run, as_of, end)
        known, counting = _study(ws, run, moment)
        model = _model(ws, known)
        if ws.tuner is not None and _is_due(ws, known, model):
            model = finetune(ws, run, known, counting, ws.tuner)
        current = ws.releases.current()
        if current is None or _is_another(ws, known, model, current):
            _refresh(ws, run, known, counting, model, force_publish, end)
        elif (decision := _asked(ws, run, counting, current)).refresh:
            if ws.config.schedule.policy != "fixed":
                run.say(f"refresh: {decision.why}")
            _refresh(ws, run, known, counting, model, force_publish, end)
        else:
            run.say(f"release {current.number} of {current.as_of} stays: {decision.why}")
            run.record.release = current.number
        if state is not None:
            _join(ws, run, state)
    return run.record


def collect_told(ws: Workspace, state: UserStore, now: datetime) -> tuple[Record, Collected]:
    """Only collect: what serving was told goes into the log, what it showed into files; and guard."""
    with ws.run("collect") as run:
        collected = collect(ws, run, state, now)
        guarding.guard(ws, run, now)
    return run.record, collected


def join_histories(ws: Workspace, state: UserStore) -> Record:
    """Only join the histories of the log, as the current release reads it, to a state."""
    with ws.run("histories") as run:
        _join(ws, run, state)
    return run.record


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import found.

    Attributes:
        events: of each source.
        items: the catalogue's manifest: rows, items, duplicates, quarantined, notes.
        item_sources: where it comes from; none = there is no catalogue.
        notes: on both together.
    """

    events: list[ImportReport]
    items: Mapping[str, Any]
    item_sources: list[Path]
    notes: tuple[str, ...]


def import_log(
    ws: Workspace, now: datetime, files: list[Path] | None = None, replace: bool = False
) -> tuple[Record, Imported]:
    """Only import: the configured files, or the named ones; a catalogue that can't be read stops it first."""
    with ws.run("import") as run:
        catalogue = items(ws, run)
        reports = import_sources(ws, run, now, files, replace)
        notes = overlap(ws, catalogue)
        for note in notes:
            run.say(f"  note: {note}")
    return run.record, Imported(reports, catalogue.manifest, item_sources(ws), notes)


def form_interests(
    ws: Workspace, as_of: AsOf | None = None, rebuild: bool = False
) -> tuple[Record, LogSnapshot]:
    """Only interests and transitions, as of a moment; `rebuild` forms the interests anew, ids are kept."""
    with ws.run("interests", str(as_of or "")) as run:
        known = learn(ws, run, _moment(ws, run, as_of, latest(ws)), rebuild)
    return run.record, known


def slow_path(ws: Workspace, as_of: AsOf | None = None) -> Record:
    """Fine-tune a planner as of a moment and put it through its gates."""
    if ws.tuner is None:
        raise ConfigError(
            '[planner] kind = "counts" has nothing to fine-tune', hint="choose another kind of planner"
        )
    with ws.run("finetune", str(as_of or "")) as run:
        ready(ws)
        known, counting = _study(ws, run, _moment(ws, run, as_of, latest(ws)))
        finetune(ws, run, known, counting, ws.tuner)
    return run.record


def fast_path(
    ws: Workspace,
    as_of: AsOf | None = None,
    force_publish: bool = False,
    today: datetime | None = None,
    state: UserStore | None = None,
) -> Record:
    """Refresh evidence as of a moment, infer what changed, verify and publish.

    A moment in the past makes the table but moves `CURRENT` only when told to. Without a moment, a log that
    lacks the newest source offered is an error (`steps.offered`).

    Args:
        today: the current time, where the workspace is served: the day that isn't over stays live.
        state: of a workspace that is served: experiments are guarded first, and the log's histories joined
            to it at the end.
    """
    with ws.run("refresh", str(as_of or "")) as run:
        if today is not None and state is not None and _harmed(ws, run, today):
            return run.record
        if as_of is None:
            offered.check(ws)
        ready(ws)
        end = _end(ws, today)
        moment = _moment(ws, run, as_of, end)
        known, counting = _study(ws, run, moment)
        model = _model(ws, known)
        if ws.tuner is not None and model is None:
            run.say("no accepted model for this configuration yet: the slow path comes first")
            model = finetune(ws, run, known, counting, ws.tuner)
        _refresh(ws, run, known, counting, model, force_publish, end)
        if state is not None:
            _join(ws, run, state)
    return run.record


def rank_items(
    ws: Workspace, as_of: AsOf | None = None, today: datetime | None = None
) -> tuple[Record, Artifact]:
    """Train a ranker of items as of a moment, judge it, and publish it beside the current table.

    It joins the current release only if it is of now and of the release's interests.

    Args:
        today: the current time, where the workspace is served: the day that isn't over is not learned from.

    Returns:
        The run, and the item model whose manifest says how it was `judged`.
    """
    with ws.run("ranker", str(as_of or "")) as run:
        end = _end(ws, today)
        known = learn(ws, run, _moment(ws, run, as_of, end))
        trained = ranking.train(ws, run, known)
        ranker = ranking.up_to_date(ws, run, known, trained)
        current = ws.releases.current()
        if current is None:
            run.say("there is no release yet for the ranker to join: `freshet run` makes one")
        elif known.as_of.day < end.day or current.interests != known.interests_version:
            run.say(f"the ranker as of {known.as_of} does not join release {current.number}")
        else:
            table = committed(ws, "tables", current.table)
            publish(ws, run, table, current.overlay, ranker.version, current.feedback)
    return run.record, trained


def plan(ws: Workspace, as_of: AsOf | None = None, today: datetime | None = None) -> Record:
    """What a refresh as of a moment would infer and copy, and what that should cost; nothing is made."""
    with ws.run("plan", str(as_of or "")) as run:
        known, counting = _study(ws, run, _moment(ws, run, as_of, _end(ws, today)))
        model = _model(ws, known)
        if ws.tuner is not None and model is None:
            raise NotEnoughData(
                "there is no accepted model for this configuration to plan with",
                hint="`freshet finetune` makes one, as `freshet run` does when it is due",
            )
        version = model.version if model else ""
        sequence = sequencing.young(ws, known) if ws.config.sequence.use else None
        foresee(ws, run, known, counting, _planner(ws, known, model), version, sequence)
    return run.record


def approve(ws: Workspace, run_id: str, reviewer: str) -> Record:
    """A person accepts what a gate halted: a model may be used, a table is published."""
    run_id = ws.ledger.get(run_id).id
    command = f"approve {run_id}"
    with ws.hold(command) as held:
        record = _halted(ws, run_id, "approved")
        waiting = (record.waiting or {}).get("table")
        made = ws.store.find("tables", waiting) if waiting else None
        if made is not None:
            current = ws.releases.current()
            if current is not None and current.as_of > made.manifest["as_of"]:
                raise ConfigError(
                    f"release {current.number} of {current.as_of} is newer than the table of run {run_id}",
                    hint=f"`freshet reject {run_id}`, or `freshet refresh --as-of {record.as_of} --publish`",
                )
            with ws.recorded(held, command, record.as_of) as run:
                beside = record.waiting.get("beside") if record.waiting else None
                record.release = publish(ws, run, made, **(beside or _beside(ws, made))).number
        return _reviewed(ws, held, record, reviewer, "approved")


def reject(ws: Workspace, run_id: str, reviewer: str) -> Record:
    """A person refuses what a gate halted; the current release keeps serving."""
    run_id = ws.ledger.get(run_id).id
    with ws.hold(f"reject {run_id}") as held:
        return _reviewed(ws, held, _halted(ws, run_id, "rejected"), reviewer, "rejected")


def roll_back(ws: Workspace, number: int | None = None) -> Release:
    """Serve an earlier release again: the named one, or the one before the current.

    Raises:
        ArtifactError: there is no such release, or a part that it needs is missing or damaged.
    """
    with ws.hold("rollback") as held:
        if number is None:
            current = ws.releases.current()
            if current is None or current.previous is None:
                raise ConfigError("there is no earlier release to roll back to", hint="see `freshet history`")
            number = current.previous
        release = ws.releases.get(number)
        rolling.check(ws, release)
        with ws.recorded(held, f"rollback {number}") as run:
            rolling.roll_back(ws, run, release)
    return release


def check_experiments(ws: Workspace, now: datetime, name: str | None = None) -> tuple[Record, Guarded]:
    """Only look whether an arm of a running experiment harms what is guarded; stop and roll back if so.

    Args:
        name: of one experiment; None = all that run.

    Raises:
        ConfigError: there is no such experiment, or it does not run.
    """
    with ws.run(f"experiment check {name or ''}".strip()) as run:
        found = guarding.guard(ws, run, now, name)
    return run.record, found


def start_experiment(ws: Workspace, experiment: Experiment) -> Record:
    """Show people different things from now on; servers follow within a second.

    Raises:
        ConfigError: the experiment is not sound, or no users are left for it.
        ArtifactError: a release that an arm serves can't be opened.
    """
    with ws.run(f"experiment start {experiment.name}") as run:
        experimenting.start(ws, run, experiment)
    return run.record


def stop_experiment(ws: Workspace, name: str, now: datetime, reason: str) -> Record:
    """End an experiment: everybody is served the current release again."""
    with ws.run(f"experiment stop {name}") as run:
        experimenting.stop(ws, run, name, now, reason)
    return run.record


def _harmed(ws: Workspace, run: Run, now: datetime) -> bool:
    """Guard; whether `CURRENT` was rolled back, so that nothing may be made in the same way now."""
    if not guarding.guard(ws, run, now).rolled_back:
        return False
    run.say("nothing is refreshed in this run: somebody should look at what did harm")
    return True


def _join(ws: Workspace, run: Run, state: UserStore) -> None:
    """Join the log's histories to a state, where something serves."""
    if ws.releases.current() is not None:
        with run.step("histories") as step:
            step.details = {"joined": remember(ws, state)}


def _study(ws: Workspace, run: Run, moment: AsOf) -> tuple[LogSnapshot, CountFitter]:
    known = learn(ws, run, moment)
    return known, fitter_for(ws, known)


def _model(ws: Workspace, known: LogSnapshot) -> Artifact | None:
    return None if ws.tuner is None else accepted(ws, known, known.as_of)


def _refresh(
    ws: Workspace,
    run: Run,
    known: LogSnapshot,
    counting: CountFitter,
    model: Artifact | None,
    force: bool,
    end: AsOf,
) -> None:
    planner = _planner(ws, known, model)
    version, previous = model.version if model else "", previous_of(ws, known)
    sequence = sequencing.for_mixture(ws, run, known, counting)
    made = make_table(ws, run, known, counting, planner, version, previous, sequence)
    check(ws, run, known, counting, made)
    overlay = overlays.make(ws, run, known, counting, made)
    why_not = "" if force else _held_back(ws, known, made, end)
    if why_not:
        run.say(f"table {made.version} as of {known.as_of} {why_not}: CURRENT is not moved (--publish does)")
        return
    told = feedback.make(ws, run, known)
    beside = {
        "overlay": _version(overlay),
        "ranker": ranking.for_release(ws, run, known),
        "feedback": _version(told),
    }
    churn.guard(ws, run, known, counting, made, beside)
    publish(ws, run, made, **beside)
    for experiment, arm in separating.arms(ws, run):
        _refresh_arm(ws, run, known, experiment, arm, model, sequence)


def _refresh_arm(
    ws: Workspace,
    run: Run,
    known: LogSnapshot,
    experiment: Experiment,
    arm: ExperimentArm,
    model: Artifact | None,
    sequence: Artifact | None,
) -> None:
    """The same for an arm whose evidence is its own, after the last release that it was served with.

    Its models are those of the start, which no arm's users have changed.
    """
    own = separating.own(ws, run, known, experiment, arm)
    counting = fitter_for(ws, own)
    before = ws.releases.get(ws.experiments.pointer(experiment, arm.name))
    if before.interests == known.interests_version:
        model, sequence = separating.models_of(ws, before)
    else:
        run.say(f"{experiment.name}/{arm.name}: interests are new, so models are everybody's from now on")
    previous, planner = previous_for(ws, own, before), _planner(ws, known, model)
    made = make_table(ws, run, own, counting, planner, _version(model), previous, sequence)
    check(ws, run, own, counting, made)
    overlay = overlays.make(ws, run, own, counting, made)
    told = feedback.make(ws, run, own, OwnEvents(experiment, arm.name))
    publish_for(ws, run, made, _version(overlay), _version(told), experiment, arm.name)


def _beside(ws: Workspace, made: Artifact) -> dict[str, str]:
    """What would serve with a table whose run did not say so: runs of before it was kept."""
    return {
        "overlay": _version(overlays.of_table(ws, made.version)),
        "ranker": ranking.of_table(ws, made),
        "feedback": feedback.of_table(ws, made),
    }


def _version(made: Artifact | None) -> str:
    return made.version if made is not None else ""


def _is_another(ws: Workspace, known: LogSnapshot, model: Artifact | None, current: Release) -> bool:
    """Whether model, interests or settings are no longer those of the current release."""
    return (
        current.model != (model.version if model else "")
        or current.interests != known.interests_version
        or _was_set_otherwise(ws, known, current)
    )


def _asked(ws: Workspace, run: Run, counting: CountFitter, current: Release) -> CadenceDecision:
    """What the cadence policy says of the current release's table."""
    numbers = [number for number in ws.releases.numbers() if number <= current.number]
    made = {ws.releases.get(number).as_of for number in numbers}
    refreshes = [AsOf.parse(day) for day in sorted(made) if day <= current.as_of]
    return cadence.decide(ws, run, counting, refreshes)


def _held_back(ws: Workspace, known: LogSnapshot, made: Artifact, end: AsOf) -> str:
    """Why a good table is not published without being told to, or ''."""
    if known.as_of.day < end.day:
        return "is of the past"
    if _was_rolled_back(ws, made):
        return "was rolled back"
    if held := rolling.held_by_guardrail(ws):
        return f"waits for a person since a rollback ({held})"
    return "was rejected" if churn.verdict(ws, made.version) == "rejected" else ""


def _was_set_otherwise(ws: Workspace, known: LogSnapshot, release: Release) -> bool:
    """Whether settings that decide what is in a part of the release have changed since it was made."""

    def another(kind: str, version: str, settings: dict[str, Any]) -> bool:
        made = ws.store.find(kind, version) if version else None
        return made is not None and made.manifest.get("settings") != settings

    uses = ws.config.live.use, ws.config.ranker.use, feedback.wanted(ws)
    if uses != (bool(release.overlay), bool(release.ranker), bool(release.feedback)):
        return True
    ranker = ws.store.find("rankers", release.ranker) if release.ranker else None
    trained = ranker.manifest["inputs"]["itemmodel"] if ranker is not None else ""
    return (
        another("tables", release.table, settings_of(as_judged(ws, release.model)))
        or another("overlays", release.overlay, overlays.configured(ws))
        or another("feedback", release.feedback, feedback.configured(ws))
        or (bool(trained) and another("itemmodels", trained, ranking.settings_of(ws, known)))
    )


def _was_rolled_back(ws: Workspace, made: Artifact) -> bool:
    """Whether the table served after the current release; one whose publication failed never did."""
    current = ws.releases.current()
    if current is None:
        return False
    records = ws.ledger.records()
    served = {record.release for record in records}
    served |= {step.details["from"] for r in records for step in r.steps if step.name == "rollback"}
    later = [n for n in ws.releases.numbers() if n > current.number and n in served]
    return any(ws.releases.get(number).table == made.version for number in later)


def _planner(ws: Workspace, known: LogSnapshot, model: Artifact | None) -> LazyPlanner | None:
    return None if ws.tuner is None or model is None else LazyPlanner(ws.tuner, model, known.interests)


def _end(ws: Workspace, today: datetime | None) -> AsOf:
    """The latest moment that a table can be of: the end of the log, without the day that isn't over."""
    known = latest(ws)
    return known if today is None else min(known, AsOf(today.astimezone(UTC).date()), key=str)


def _moment(ws: Workspace, run: Run, as_of: AsOf | None, end: AsOf) -> AsOf:
    known, last = latest(ws), newest(ws)
    if end == known and last.day > known.day:
        if as_of is not None:
            end = last  # a person knows better
        else:
            run.say(f"as of {known}: the few events after it may be wrong dates (--as-of {last} takes them)")
    moment = as_of or end
    if moment.day > end.day:
        why = f"the log ends before {end}" if end in (known, last) else f"{end} is not over and stays live"
        run.say(f"{why}: as of {end}, not {moment}")
        moment = end
    run.record.as_of = str(moment)
    return moment


def _is_due(ws: Workspace, known: LogSnapshot, model: Artifact | None) -> bool:
    """Whether to tune: there is no model to use, or the last attempt, even a rejected one, is too old."""
    last = attempted(ws, known, known.as_of)
    if model is None or last is None:
        return True
    due = AsOf.parse(last.manifest["as_of"]).day + timedelta(days=ws.config.tuning.every_days)
    return due <= known.as_of.day


def _halted(ws: Workspace, run_id: str, outcome: str) -> Record:
    record = ws.ledger.get(run_id)
    if record.outcome != "waiting":
        raise ConfigError(
            f"run {run_id} is {record.outcome}, only a waiting run can be {outcome}",
            hint="`freshet status` shows what waits",
        )
    return record


def _reviewed(ws: Workspace, held: Lease, record: Record, reviewer: str, outcome: str) -> Record:
    record.outcome, record.reviewer = outcome, reviewer
    with held.fenced():
        ws.ledger.save(record)
    return record
