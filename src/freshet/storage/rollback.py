"""Step: serve an earlier release again."""

from __future__ import annotations

from freshet.core.errors import ArtifactError, WrongFormat
from freshet.storage.ledger import Run
from freshet.storage.release_parts import missing_of, parts_of
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace


def roll_back(ws: Workspace, run: Run, release: Release, reason: str = "") -> None:
    """Point `CURRENT` to an earlier release; the ledger keeps which served, and why it no longer does."""
    with run.step("rollback") as step, run.fenced():
        step.details = {"from": ws.releases.pointer()} | ({"reason": reason} if reason else {})
        ws.releases.point_to(release.number)
        run.record.release = release.number
    for lost in missing_of(ws.store, release):
        run.say(f"release {release.number} serves without {lost}, which is missing or damaged")


def held_by_guardrail(ws: Workspace) -> str:
    """Why nothing is published without a person: a guardrail rolled back to what serves; '' where none did.

    What is made in the same way may do the same harm, and nobody guards it once the experiment is stopped.
    """
    for record in reversed(ws.ledger.records()):
        for step in record.steps:
            if step.name == "rollback" and (reason := step.details.get("reason")):
                return reason if record.release == ws.releases.pointer() else ""
    return ""


def check(ws: Workspace, release: Release) -> None:
    """Raises ArtifactError if a release is one arm's alone, or could not be opened if it served."""
    if release.arm:
        raise ArtifactError(
            f"release {release.number} was made for {release.arm} alone; CURRENT is not moved",
            hint="`freshet history` lists the releases that served everybody",
        )
    try:
        parts_of(ws.store, release)
    except WrongFormat:
        raise
    except ArtifactError as error:
        raise ArtifactError(
            f"release {release.number} can't serve: {error.message}; CURRENT is not moved",
            hint="`freshet doctor` tells which releases can be opened",
        ) from None
