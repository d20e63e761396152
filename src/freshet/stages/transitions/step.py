"""Step: daily counts of transitions, of which only days and users that changed are counted again."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from freshet.core.errors import ConfigError
from freshet.core.ports import Executor
from freshet.core.types import AsOf, Learners
from freshet.run_context import LogSnapshot
from freshet.stages import events, transitions
from freshet.storage.artifacts import Artifact, Store, committed, newest, newest_first
from freshet.storage.build_once import build_once
from freshet.storage.ledger import Run, StepRecord
from freshet.storage.manifests import FromAssignment, TransitionsManifest
from freshet.storage.workspace import Workspace, version_of

CODE = 2


def count(
    ws: Workspace,
    run: Run,
    snapshot: events.Snapshot,
    model: Artifact,
    assignment: Artifact,
    size: int,
) -> Artifact:
    """Daily transitions; only days and users that changed since an earlier count are counted again."""
    settings: dict[str, Any] = {
        "code": CODE,
        "interests": model.version,
        "positive": ws.config.events.positive,
        "novelty_days": ws.config.transitions.novelty_days,
        "seed": ws.config.transitions.seed,
    }
    version = version_of(**settings, events=snapshot.version, assignment=assignment.version)

    def build(folder: Path, step: StepRecord) -> TransitionsManifest:
        step.details = transitions.count(
            [(day.day, day.path) for day in snapshot.days],
            assignment.path / "assignment.parquet",
            events.parse(ws.config.events.positive).sql,
            size,
            ws.config.transitions,
            _earlier(ws.store, settings),
            ws.pool,
            folder,
            _executor(ws),
            ws.config.ray.needs("counting"),
            progress=run.progress("transitions"),
        )
        return TransitionsManifest(
            as_of=str(AsOf(snapshot.days[-1].day).plus(1)),
            settings=settings,
            inputs=FromAssignment(events=snapshot.version, assignment=assignment.version),
            # what had to be recounted is a cost of this run, not a property of the counts
            summary={name: step.details[name] for name in ("days", "transitions")},
        )

    return build_once(ws, run, "transitions", "transitions", version, build)


def part_of(
    ws: Workspace,
    run: Run,
    known: LogSnapshot,
    rule: str,
    named: Mapping[str, Any],
    kept: transitions.Kept,
    since: str = "",
    only: Collection[str] | None = None,
    step_name: str = "separate",
) -> LogSnapshot:
    """A snapshot of the log without some transitions; interests and window stay everybody's.

    Args:
        rule: a version of all that decides which stay; counting never goes on from such transitions.
        named: says in the ledger whose they are.
        kept: which transitions stay.
        since: the first day (ISO) on which any is left out.
        only: the days (ISO) on which any is left out; None = any since then.
        step_name: in the ledger.
    """
    whole = committed(ws.store, "transitions", known.version)
    manifest = TransitionsManifest.of(whole)
    settings = {**manifest.settings, **named, "rule": rule}
    version = version_of(rule=rule, transitions=known.version)

    def build(folder: Path, step: StepRecord) -> TransitionsManifest:  # noqa: ARG001
        earlier = _parted(ws.store, settings)
        left_out = transitions.without(whole.path, ws.pool, kept, since, folder, earlier, only)
        return replace(
            manifest,
            settings=settings,
            inputs=replace(manifest.inputs, transitions=known.version),
            summary={"left_out": left_out},
        )

    def details(made: Artifact) -> dict[str, Any]:
        return {**named, **made.manifest["summary"]}

    found = build_once(ws, run, step_name, "transitions", version, build, details)
    log = transitions.TransitionLog(found.path, ws.pool, len(known.interests))
    return replace(known, transitions=log, version=version, kept=_both(known.kept, kept))


def _both(before: transitions.Kept | None, now: transitions.Kept) -> transitions.Kept:
    """What stays by the rule that left some out before, and by another."""
    if before is None:
        return now
    return lambda users, times: before(users, times) & now(users, times)


def learned_by(ws: Workspace, run: Run, known: LogSnapshot, learners: Learners) -> LogSnapshot:
    """What can be learned from some of the users alone; interests were formed on everybody."""
    rule = version_of(code=CODE, learners=learners.percent)
    named = {"learners": str(learners)}
    found = part_of(ws, run, known, rule, named, lambda users, _: learners.kept(users))
    return replace(found, learners=learners)


def _executor(ws: Workspace) -> Executor:
    if ws.executor is None:
        raise ConfigError("this workspace was opened without an executor: nothing can be counted")
    return ws.executor


def _parted(store: Store, settings: Mapping[str, Any]) -> transitions.Parted | None:
    """The latest transitions that were left by the same rule, and those that they were left of."""
    found = newest(store, "transitions", lambda one: TransitionsManifest.of(one).settings == settings)
    whole = found and store.find("transitions", TransitionsManifest.of(found).inputs.transitions)
    return transitions.Parted(whole.path, found.path) if found and whole else None


def _earlier(store: Store, settings: dict[str, Any]) -> transitions.Earlier | None:
    """The latest count with the same settings whose assignment is still there."""
    for artifact in newest_first(store, "transitions"):
        manifest = TransitionsManifest.of(artifact)
        if manifest.settings == settings:
            assignment = store.find("assignments", manifest.inputs.assignment)
            if assignment is not None:
                return transitions.Earlier(artifact.path, assignment.path / "assignment.parquet")
    return None
