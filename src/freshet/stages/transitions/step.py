"""Step: daily counts of transitions, of which only days and users that changed are counted again."""

from __future__ import annotations

from typing import Any

from freshet.core.ports import Artifact
from freshet.core.types import AsOf
from freshet.stages import events, transitions
from freshet.stages.events.step import committed
from freshet.storage.ledger import Run
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
    key = version_of(**settings, events=snapshot.version, assignment=assignment.version)
    with run.step("transitions") as step:
        step.artifact = f"transitions/{key}"
        found = ws.store.find("transitions", key)
        if found is not None:
            step.cached = True
            return found
        with ws.store.create("transitions", key) as draft:
            summary = transitions.count(
                [(day.day, day.path) for day in snapshot.days],
                assignment.path / "assignment.parquet",
                events.parse(ws.config.events.positive).sql,
                size,
                ws.config.transitions,
                _earlier(ws, settings),
                ws.pool,
                draft.path,
                progress=run.progress("transitions"),
            )
            step.details = summary
            # what had to be recounted is a cost of this run, not a property of the counts
            draft.manifest = {
                "as_of": str(AsOf(snapshot.days[-1].day).minus(-1)),
                "settings": settings,
                "inputs": {"events": snapshot.version, "assignment": assignment.version},
                "summary": {name: summary[name] for name in ("days", "transitions")},
            }
        return committed(ws, "transitions", key)


def _earlier(ws: Workspace, settings: dict[str, Any]) -> transitions.Earlier | None:
    """The latest count with the same settings whose assignment is still there."""
    for version in reversed(ws.store.versions("transitions")):
        found = ws.store.find("transitions", version)
        if found is None or found.manifest["settings"] != settings:
            continue
        assignment = ws.store.find("assignments", found.manifest["inputs"]["assignment"])
        if assignment is not None:
            return transitions.Earlier(found.path, assignment.path / "assignment.parquet")
    return None
