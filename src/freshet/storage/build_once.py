"""Find or create: an artifact whose version names all that decides its content is made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from freshet.storage.artifacts import Artifact, committed

if TYPE_CHECKING:
    from freshet.storage.ledger import Run, StepRecord
    from freshet.storage.manifests import Manifest
    from freshet.storage.workspace import Workspace

Build = Callable[[Path, "StepRecord"], "Manifest"]
"""Writes the files into a folder and returns the manifest; `details` and cost go into the step's record."""


def build_once(
    ws: Workspace,
    run: Run,
    step_name: str,
    kind: str,
    version: str,
    build: Build,
    details: Callable[[Artifact], dict[str, Any]] | None = None,
) -> Artifact:
    """The artifact of a version: the one that is there, else a new one; a step of the run either way.

    Args:
        step_name: in the ledger.
        version: from `version_of` all that decides the content.
        build: called only where the artifact isn't there. What it raises leaves no artifact behind.
        details: for the step's record, also where the artifact was there; None = what `build` put in.
    """
    with run.step(step_name) as step:
        step.artifact = f"{kind}/{version}"
        found = ws.store.find(kind, version)
        step.cached = found is not None
        if found is None:
            with ws.store.create(kind, version) as draft:
                draft.manifest = build(draft.path, step).as_dict()
            found = committed(ws.store, kind, version)
        if details is not None:
            step.details = details(found)
        return found


def reuse(run: Run, step_name: str, artifact: Artifact) -> Artifact:
    """Record a step for which an artifact that was made earlier is good enough; returns it."""
    with run.step(step_name) as step:
        step.artifact, step.cached = f"{artifact.kind}/{artifact.version}", True
    return artifact
