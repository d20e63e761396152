"""What was learned from data that held a person, and when it is replaced. Weights and sums name nobody."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

from freshet.core.errors import ArtifactError
from freshet.storage.artifacts import Artifact
from freshet.storage.workspace import Workspace

_TUNED = ("models", "priors")
_FORMED = ("interests", "assignments")
_REFRESHED = ("sequences", "content", "itemmodels", "rankers", "tables", "overlays", "user_rows", "feedback")


@dataclass(frozen=True, slots=True)
class Made:
    """Something made with a person's data.

    Attributes:
        what: `kind/version`, or `release N`.
        as_of: the moment that it was made as of.
        until: the day from which on the next run makes another one; '' = a person decides.
        by: the command that replaces it.
    """

    what: str
    as_of: str
    until: str
    by: str


def made_with(ws: Workspace, since: date | None) -> list[Made]:
    """Artifacts and releases as of later than a day; None = nothing is known of that day: all of them."""
    found = []
    schedule, tuning = ws.config.schedule.refresh_days, ws.config.tuning.every_days
    for kinds, days, by in (
        (_TUNED, tuning, "freshet finetune"),
        (_REFRESHED, schedule, "freshet refresh"),
        (_FORMED, None, "freshet interests --rebuild"),
    ):
        for kind in kinds:
            for version in ws.store.versions(kind):
                as_of = _as_of(ws, kind, version)
                if _later(as_of, since):
                    found.append(Made(f"{kind}/{version}", as_of, _until(as_of, days), by))
    for number in ws.releases.numbers():
        try:
            as_of = ws.releases.get(number).as_of
        except ArtifactError:
            continue
        if _later(as_of, since):
            found.append(Made(f"release {number}", as_of, _until(as_of, schedule), "freshet refresh"))
    return found


def _as_of(ws: Workspace, kind: str, version: str) -> str:
    try:
        artifact: Artifact | None = ws.store.find(kind, version)
    except ArtifactError:
        return ""
    return str(artifact.manifest.get("as_of", "")) if artifact else ""


def _later(as_of: str, since: date | None) -> bool:
    return since is None or as_of[:10] > since.isoformat()


def _until(as_of: str, days: object) -> str:
    """The day on which another is due; '' where that isn't a matter of days."""
    if not isinstance(days, int | float) or not as_of:
        return ""
    return (date.fromisoformat(as_of[:10]) + timedelta(days=int(days))).isoformat()
