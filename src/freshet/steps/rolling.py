"""Step: serve an earlier release again."""

from __future__ import annotations

from freshet.errors import ArtifactError, WrongFormat
from freshet.workspace import Release, Run, Workspace
from freshet.workspace.parts import missing_of, parts_of


def roll_back(ws: Workspace, run: Run, release: Release, reason: str = "") -> None:
    """Point `CURRENT` to an earlier release; the ledger keeps which served, and why it no longer does."""
    with run.step("rollback") as step, run.fenced():
        step.details = {"from": ws.releases.pointer()} | ({"reason": reason} if reason else {})
        ws.releases.point_to(release.number)
        run.record.release = release.number
    for lost in missing_of(ws.store, release):
        run.say(f"release {release.number} serves without {lost}, which is missing or damaged")


def check(ws: Workspace, release: Release) -> None:
    """Raises ArtifactError if a release could not be opened if it served."""
    try:
        parts_of(ws.store, release)
    except WrongFormat:
        raise
    except ArtifactError as error:
        raise ArtifactError(
            f"release {release.number} can't serve: {error.message}; CURRENT is not moved",
            hint="`freshet doctor` tells which releases can be opened",
        ) from None
