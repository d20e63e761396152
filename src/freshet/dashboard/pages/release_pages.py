"""Releases: what serves and served, what changed from one to another, and serving an earlier one again."""

from __future__ import annotations

from dataclasses import dataclass

from freshet import inspect
from freshet.core.errors import ArtifactError
from freshet.dashboard.acting import commanded, person
from freshet.dashboard.paging import paged
from freshet.dashboard.visit import Act, Done, Page, Values, Visit
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace

CHOICES = 200
"""Releases that may be chosen to compare with."""


@dataclass(frozen=True, slots=True)
class ReleaseRow:
    """A release in a list; None where it can't be read, and `message` says why."""

    number: int
    release: Release | None
    serves: bool
    message: str = ""


def releases(visit: Visit) -> Values:
    """The newest first."""
    ws = visit.ws
    found = paged(ws.releases.numbers()[::-1], visit.number("page", 1))
    return {
        "rows": [_row(ws, number) for number in found.shown],
        "paging": found,
        "current": ws.releases.pointer(),
    }


def release(visit: Visit) -> Values:
    """One release: what it is made of, what drives it, what can be done with it."""
    ws = visit.ws
    found = ws.releases.get(visit.number("release"))
    current = ws.releases.pointer()

    def drives() -> tuple[inspect.Drives | None, str]:
        try:
            return inspect.Drives.of(inspect.open_release(ws, found.number).weights()), ""
        except ArtifactError as error:
            return None, error.message

    known, damage = visit.cached("drives", found.number, make=drives)
    rollbacks = visit.cached("rollbacks", make=ws.decisions.rollbacks)
    others = [number for number in ws.releases.numbers()[::-1] if number != found.number]
    return {
        "release": found,
        "current": current,
        "serves": current == found.number,
        "drives": known,
        "damage": damage,
        "others": others[:CHOICES],
        "against": current if current != found.number else found.previous,
        "changes": [(one, back) for one, back in rollbacks if back.release == found.number],
    }


def compare(visit: Visit) -> Values:
    """What changed from one release to another."""
    ws, a, b = visit.ws, visit.number("a"), visit.number("b")
    return {
        "diff": visit.cached("diff", a, b, make=lambda: inspect.compare(ws, a, b, most=20)),
        "a": a,
        "b": b,
    }


def roll_back(visit: Visit) -> Done:
    """Serve a release again."""
    number = visit.number("release")
    before = visit.ws.releases.pointer()
    by, reason = person(visit)
    commanded(visit.root, "rollback", str(number), by=by, reason=reason)
    return Done(f"releases/{number}", f"Release {number} serves again instead of {before}.")


def _row(ws: Workspace, number: int) -> ReleaseRow:
    serves = number == ws.releases.pointer()
    try:
        return ReleaseRow(number, ws.releases.get(number), serves)
    except ArtifactError as error:
        return ReleaseRow(number, None, serves, error.message)


PAGES = (
    Page("releases", "releases.html", releases, nav="Releases"),
    Page("releases/compare", "compare.html", compare),
    Page("releases/{release}", "release.html", release),
)
ACTS = (Act("releases/{release}/rollback", roll_back),)
