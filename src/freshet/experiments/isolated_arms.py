"""Step: what one arm of an isolated experiment may know: all but what others' users did since the start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from freshet.core.time import date_of
from freshet.core.types import Experiment, ExperimentArm
from freshet.experiments.assignment import OwnEvents
from freshet.run_context import LogSnapshot, RunContext
from freshet.stages.counts.fitter import fitter_for
from freshet.stages.transitions.step import part_of
from freshet.storage.artifacts import Artifact, committed
from freshet.storage.ledger import Run
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace, version_of

CODE = 1

Models = tuple[Artifact | None, Artifact | None]
"""The planner's model and the sequence model of a release, None where there is none."""


def arms(ws: Workspace, run: Run) -> Iterator[tuple[Experiment, ExperimentArm]]:
    """Arms of running experiments that get releases of their own: those that are refreshed, kept separate."""
    for problem in ws.experiments.found()[1].values():
        run.say(f"an experiment is passed over: {problem.message}")
    for experiment in ws.experiments.running():
        if experiment.isolated:
            for arm in experiment.arms:
                if arm.serves.release is None:
                    yield experiment, arm


def models_of(ws: Workspace, release: Release) -> Models:
    """The models behind a release."""
    table = committed(ws.store, "tables", release.table)
    sequence = table.manifest["inputs"].get("sequence", "")
    return (
        committed(ws.store, "models", release.model) if release.model else None,
        committed(ws.store, "sequences", sequence) if sequence else None,
    )


def own_context(ctx: RunContext, experiment: Experiment, arm: ExperimentArm) -> tuple[RunContext, Release]:
    """A run as an arm may know the log, and the release that the arm is served with so far."""
    log = own_log(ctx, experiment, arm)
    before = ctx.ws.releases.get(ctx.ws.experiments.pointer(experiment, arm.name))
    return RunContext(ctx.ws, ctx.run, log, fitter_for(ctx.config, log)), before


def own_log(ctx: RunContext, experiment: Experiment, arm: ExperimentArm) -> LogSnapshot:
    """What was known before as_of, without the transitions of the other arms' users since the start.

    Interests, and the ranking of items, are everybody's.
    """
    ws, known = ctx.ws, ctx.log
    label = f"{experiment.name}/{arm.name}"
    settings = replace(experiment, metrics=()).as_dict()
    rule = version_of(code=CODE, experiment=settings, arm=arm.name)
    since = date_of(experiment.start).isoformat()
    kept = OwnEvents(experiment, arm.name)
    return part_of(ws, ctx.run, known, rule, {"arm": label}, kept, since)
