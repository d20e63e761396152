"""Step: what one arm of an isolated experiment may know: all but what others' users did since the start."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from freshet.core.time import date_of
from freshet.core.types import Experiment, ExperimentArm
from freshet.experiments.assignment import OwnEvents
from freshet.run_context import LogSnapshot, RunContext
from freshet.stages import transitions
from freshet.storage.artifacts import Artifact, committed
from freshet.storage.build_once import build_once
from freshet.storage.ledger import Run, StepRecord
from freshet.storage.manifests import TransitionsManifest
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace, version_of

CODE = 1


def arms(ws: Workspace, run: Run) -> Iterator[tuple[Experiment, ExperimentArm]]:
    """Arms of running experiments that get releases of their own: those that are refreshed, kept separate."""
    for problem in ws.experiments.found()[1].values():
        run.say(f"an experiment is passed over: {problem.message}")
    for experiment in ws.experiments.running():
        if experiment.isolated:
            for arm in experiment.arms:
                if arm.serves.release is None:
                    yield experiment, arm


def models_of(ws: Workspace, release: Release) -> tuple[Artifact | None, Artifact | None]:
    """The planner's model and the sequence model behind a release, None where there is none."""
    table = committed(ws.store, "tables", release.table)
    sequence = table.manifest["inputs"].get("sequence", "")
    return (
        committed(ws.store, "models", release.model) if release.model else None,
        committed(ws.store, "sequences", sequence) if sequence else None,
    )


def own_log(ctx: RunContext, experiment: Experiment, arm: ExperimentArm) -> LogSnapshot:
    """What was known before as_of, without the transitions of the other arms' users since the start.

    Interests, and the ranking of items, are everybody's.
    """
    ws, known = ctx.ws, ctx.log
    label = f"{experiment.name}/{arm.name}"
    settings = replace(experiment, metrics=()).as_dict()
    key = version_of(code=CODE, transitions=known.version, experiment=settings, arm=arm.name)

    def build(folder: Path, step: StepRecord) -> TransitionsManifest:  # noqa: ARG001
        whole = committed(ws.store, "transitions", known.version)
        manifest = TransitionsManifest.of(whole)
        since = date_of(experiment.start).isoformat()
        left_out = transitions.without(whole.path, ws.pool, OwnEvents(experiment, arm.name), since, folder)
        return replace(
            manifest,
            settings={
                **manifest.settings,
                "arm": label,
            },  # named there, so that counting never goes on from here
            inputs=replace(manifest.inputs, transitions=known.version),
            summary={"left_out": left_out},
        )

    def details(made: Artifact) -> dict[str, Any]:
        return {"arm": label, **made.manifest["summary"]}

    found = build_once(ws, ctx.run, "separate", "transitions", key, build, details)
    log = transitions.TransitionLog(found.path, ws.pool, len(known.interests))
    return replace(known, transitions=log, version=key)
