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
    later = (ws.releases.get(number) for number in ws.releases.numbers() if number > current.number)
    made = [release for release in later if release.table == table]
    if not made:
        return False
    left = {back.before for _, back in ws.decisions.rollbacks()}
    return any(release.number in left or _served(ws, release) for release in made)


def _served(ws: Workspace, release: Release) -> bool:
    """Whether a run ended with this release, or the run that made it went on to a later one."""
    for record in ws.ledger.newest_first():
        number = record.release
        if number == release.number or (record.id == release.run and (number or 0) > release.number):
            return True
    return False


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
