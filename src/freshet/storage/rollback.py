"""Serving an earlier release again, and what was rolled back so."""

from __future__ import annotations

from freshet.core.errors import ArtifactError, WrongFormat
from freshet.storage.decisions import GUARDRAIL, Decision, Rollback
from freshet.storage.ledger import Run
from freshet.storage.release_parts import missing_of, parts_of
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace


def roll_back(ws: Workspace, run: Run, release: Release, reason: str = "", by: str = "") -> None:
    """Point `CURRENT` to an earlier release; a decision says who did, and why."""
    with run.step("rollback") as step, run.fenced():
        before = ws.releases.pointer()
        ws.decisions.record(Decision(run.record.id, Rollback(release.number, before), by, reason))
        step.details = {"from": before} | ({"reason": reason} if by == GUARDRAIL else {})
        ws.releases.point_to(release.number)
        run.record.release = release.number
    for lost in missing_of(ws.store, release):
        run.say(f"release {release.number} serves without {lost}, which is missing or damaged")


def held_by_guardrail(ws: Workspace) -> str:
    """Why nothing is published without a person: a guardrail rolled back to what serves; '' where none did.

    What is made in the same way may do the same harm, and nobody guards it once the experiment is stopped.
    """
    guarded = [(one, back) for one, back in ws.decisions.rollbacks() if one.by == GUARDRAIL]
    if not guarded:
        return ""
    last, back = guarded[-1]
    return last.reason if back.release == ws.releases.pointer() else ""


def was_rolled_back(ws: Workspace, table: str) -> bool:
    """Whether a table served after the current release; one whose publication failed never did."""
    current = ws.releases.current()
    if current is None:
        return False
    served = {record.release for record in ws.ledger.records()}
    served |= {back.before for _, back in ws.decisions.rollbacks()}
    later = [n for n in ws.releases.numbers() if n > current.number and n in served]
    return any(ws.releases.get(number).table == table for number in later)


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
