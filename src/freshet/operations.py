"""What people do with a workspace beside running the pipeline: each holds the lease and is in the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from freshet import due, pipeline
from freshet.core.errors import ConfigError
from freshet.core.ports import UserStore
from freshet.core.types import AsOf, Experiment
from freshet.core.urls import Location
from freshet.experiments import canary, lifecycle
from freshet.experiments.feedback import step as feedback
from freshet.experiments.guardrails import guard as guardrails
from freshet.experiments.measurement import collect as collecting
from freshet.experiments.measurement import import_impressions as foreign
from freshet.experiments.measurement.foreign_rows import ColumnNames
from freshet.experiments.measurement.frozen_rules import kept_columns
from freshet.run_context import LogSnapshot
from freshet.serving import user_histories
from freshet.stages.events import ImportReport
from freshet.stages.events import step as events
from freshet.stages.items import step as item_ranking
from freshet.stages.live import step as live
from freshet.stages.table import step as table
from freshet.stages.users import step as users
from freshet.storage import rollback
from freshet.storage.artifacts import Artifact
from freshet.storage.decisions import GUARDRAIL, Decision, Review
from freshet.storage.lease import Lease
from freshet.storage.ledger import Record
from freshet.storage.manifests import TableManifest
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace


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
    item_sources: list[Location]
    notes: tuple[str, ...]


def import_log(
    ws: Workspace, now: datetime, files: Sequence[Location] | None = None, replace: bool = False
) -> tuple[Record, Imported]:
    """Import the configured files, or the named ones; a catalogue that can't be read stops it first."""
    with ws.run("import") as run:
        catalogue = events.items(ws, run)
        reports = events.import_sources(ws, run, now, files, replace, kept_columns(ws))
        notes = events.overlap(ws, catalogue)
        for note in notes:
            run.say(f"  note: {note}")
    return run.record, Imported(reports, catalogue.manifest, events.item_sources(ws), notes)


def import_impressions(
    ws: Workspace, files: list[Path], names: ColumnNames, now: datetime
) -> tuple[Record, list[foreign.ImpressionsReport]]:
    """Import what another system has shown, and what came of it."""
    with ws.run("import --impressions") as run:
        reports = foreign.import_impressions(ws, run, files, names, now)
    return run.record, reports


def form_interests(
    ws: Workspace, as_of: AsOf | None = None, rebuild: bool = False
) -> tuple[Record, LogSnapshot]:
    """Interests and transitions as of a moment; `rebuild` forms the interests anew, ids are kept."""
    with ws.run("interests", str(as_of or "")) as run:
        moment = due.moment(ws, run, as_of, due.end_of_log(ws))
        log = pipeline.snapshot_of(ws, run, moment, rebuild)
    return run.record, log


def collect(ws: Workspace, users: UserStore, now: datetime) -> tuple[Record, collecting.Collected]:
    """Take what serving recorded into the log and what it showed into files; then guard the experiments."""
    with ws.run("collect") as run:
        collected = collecting.collect(ws, run, users, now)
        guardrails.guard(ws, run, now)
    return run.record, collected


def join_histories(ws: Workspace, users: UserStore) -> Record:
    """Join the histories of the log, as the current release reads it, to a user store."""
    with ws.run("histories") as run:
        user_histories.join_histories(ws, run, users)
    return run.record


def rank_items(
    ws: Workspace, as_of: AsOf | None = None, today: datetime | None = None
) -> tuple[Record, Artifact]:
    """Train a ranker of items as of a moment, evaluate it, and publish it beside the current table.

    It joins the current release only if it is of now and of the release's interests.

    Args:
        today: the current time, where the workspace is served: the day that isn't over is not learned from.

    Returns:
        The run, and the item model whose manifest holds its evaluation (`judged`).
    """
    with ws.run("ranker", str(as_of or "")) as run:
        end = due.end_of_log(ws, today)
        log = pipeline.snapshot_of(ws, run, due.moment(ws, run, as_of, end))
        trained = item_ranking.train(ws, run, log)
        ranker = item_ranking.up_to_date(ws, run, log, trained)
        current = ws.releases.current()
        if current is None:
            run.say("there is no release yet for the ranker to join: `freshet run` makes one")
        elif log.as_of.day < end.day or current.interests != log.interests_version:
            run.say(f"the ranker as of {log.as_of} does not join release {current.number}")
        else:
            canary.publish_ranker(ws, run, current, ranker.version)
    return run.record, trained


def approve(ws: Workspace, run_id: str, reviewer: str, reason: str = "") -> Record:
    """A person accepts what a gate halted: a model may be used, a table is published."""
    _check_name(reviewer)
    run_id = ws.ledger.get(run_id).id
    command = f"approve {run_id}"
    with ws.hold(command) as held:
        record = _halted(ws, run_id, "approved")
        waiting = (record.waiting or {}).get("table")
        made = ws.store.find("tables", waiting) if waiting else None
        if made is not None:
            current = ws.releases.current()
            if current is not None and current.as_of > TableManifest.of(made).as_of:
                raise ConfigError(
                    f"release {current.number} of {current.as_of} is newer than the table of run {run_id}",
                    hint=f"`freshet reject {run_id}`, or `freshet refresh --as-of {record.as_of} --publish`",
                )
            _decide(ws, held, record, reviewer, reason, accepted=True)
            with ws.recorded(held, command, record.as_of) as run:
                beside = record.waiting.get("beside") if record.waiting else None
                companions = table.Companions(**beside) if beside else _companions_of(ws, made)
                record.release = canary.publish(ws, run, made, companions).number
        else:
            _decide(ws, held, record, reviewer, reason, accepted=True)
        return _close(ws, held, record, reviewer, "approved")


def reject(ws: Workspace, run_id: str, reviewer: str, reason: str = "") -> Record:
    """A person refuses what a gate halted; the current release keeps serving."""
    _check_name(reviewer)
    run_id = ws.ledger.get(run_id).id
    with ws.hold(f"reject {run_id}") as held:
        record = _halted(ws, run_id, "rejected")
        _decide(ws, held, record, reviewer, reason, accepted=False)
        return _close(ws, held, record, reviewer, "rejected")


def roll_back(ws: Workspace, number: int | None = None, by: str = "", reason: str = "") -> Release:
    """Serve an earlier release again: the named one, or the one before the current.

    Where a canary runs, it ends: without a number it is taken back, and the current release goes on.

    Args:
        by, reason: who decides, and why, for the record.

    Raises:
        ArtifactError: there is no such release, or a part that it needs is missing or damaged.
    """
    _check_name(by)
    with ws.hold("rollback") as held:
        trial, now = canary.running(ws), datetime.now(UTC)
        if trial is not None and number in (None, trial.began):
            with ws.recorded(held, f"rollback {trial.began}") as run:
                canary.take_back(ws, run, trial, now, reason or "a person took it back", by)
            return ws.releases.get(trial.began)
        if number is None:
            current = ws.releases.current()
            if current is None or current.previous is None:
                raise ConfigError("there is no earlier release to roll back to", hint="see `freshet history`")
            number = current.previous
        release = ws.releases.get(number)
        rollback.check(ws, release)
        with ws.recorded(held, f"rollback {number}") as run:
            rollback.roll_back(ws, run, release, reason, by)
            if trial is not None:
                lifecycle.stop(ws, run, trial.name, now, f"release {number} serves everybody", by)
    return release


def check_experiments(
    ws: Workspace, now: datetime, name: str | None = None
) -> tuple[Record, guardrails.GuardReport]:
    """Whether an arm of a running experiment harms what is guarded; stop it and roll back if so.

    Args:
        name: of one experiment; None = all that run.

    Raises:
        ConfigError: there is no such experiment, or it does not run.
    """
    with ws.run(f"experiment check {name or ''}".strip()) as run:
        found = guardrails.guard(ws, run, now, name)
    return run.record, found


def start_experiment(ws: Workspace, experiment: Experiment) -> Record:
    """Show people different things from now on; servers follow within a second.

    Raises:
        ConfigError: the experiment is not sound, or no users are left for it.
        ArtifactError: a release that an arm serves can't be opened.
    """
    with ws.run(f"experiment start {experiment.name}") as run:
        lifecycle.start(ws, run, experiment)
    return run.record


def stop_experiment(ws: Workspace, name: str, now: datetime, reason: str) -> Record:
    """End an experiment: everybody is served the current release again."""
    with ws.run(f"experiment stop {name}") as run:
        lifecycle.stop(ws, run, name, now, reason)
    return run.record


def _companions_of(ws: Workspace, made: Artifact) -> table.Companions:
    """What would serve with a table whose run did not record it: runs of before it was kept."""
    return table.Companions(
        live.version_of_table(ws, made.version),
        item_ranking.of_table(ws, made),
        feedback.of_table(ws, made),
        users.version_of_table(ws, made.version),
    )


def _halted(ws: Workspace, run_id: str, outcome: str) -> Record:
    record = ws.ledger.get(run_id)
    if record.outcome != "waiting":
        raise ConfigError(
            f"run {run_id} is {record.outcome}, only a waiting run can be {outcome}",
            hint="`freshet status` shows what waits",
        )
    return record


def _decide(ws: Workspace, held: Lease, record: Record, reviewer: str, reason: str, accepted: bool) -> None:
    """Keep a person's decision on what a run waits with: written before it takes effect."""
    waiting = record.waiting or {}
    with held.fenced():
        for of in ("model", "table"):
            if of in waiting:
                review = Review(of, waiting[of], accepted)
                ws.decisions.record(Decision(record.id, review, by=reviewer, reason=reason))


def _check_name(person: str) -> None:
    """Raises ConfigError where a person has the name of what decides by itself."""
    if person == GUARDRAIL:
        raise ConfigError(f"'{person}' is no name of a person", hint="say who decides")


def _close(ws: Workspace, held: Lease, record: Record, reviewer: str, outcome: str) -> Record:
    """End a run that waited; the ledger says how."""
    record.outcome, record.reviewer = outcome, reviewer
    with held.fenced():
        ws.ledger.save(record)
    return record
