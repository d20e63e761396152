"""Step: daily counts of transitions, of which only days and users that changed are counted again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from freshet.core.types import AsOf
from freshet.stages import events, transitions
from freshet.storage.artifacts import Artifact, Store, newest_first
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


def _earlier(store: Store, settings: dict[str, Any]) -> transitions.Earlier | None:
    """The latest count with the same settings whose assignment is still there."""
    for artifact in newest_first(store, "transitions"):
        manifest = TransitionsManifest.of(artifact)
        if manifest.settings == settings:
            assignment = store.find("assignments", manifest.inputs.assignment)
            if assignment is not None:
                return transitions.Earlier(artifact.path, assignment.path / "assignment.parquet")
    return None
