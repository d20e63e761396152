"""What the screen held back from the release that serves: for `freshet status` and the dashboard."""

from __future__ import annotations

from dataclasses import dataclass

from freshet.core.errors import ArtifactError
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Burst:
    """Held-back moves to one interest on one day, with why: how many new and established users came."""

    day: str
    description: str
    held: int
    came: int
    established: int


@dataclass(frozen=True, slots=True)
class Screened:
    """Moves of new users that nothing else bears out.

    Attributes:
        run: that screened the log.
        judged: moves of new users that were looked at; `held_back` of them, of `users`, were not counted.
        lately: of these, in the last week before the release's moment; `latest`: its bursts, largest first.
    """

    run: str
    judged: int
    held_back: int
    users: int
    lately: int
    latest: tuple[Burst, ...]

    @property
    def sentence(self) -> str:
        """In words."""
        if not self.held_back:
            return f"nothing of {self.judged:,} moves of new users was held back"
        told = (
            f"{self.held_back:,} of {self.judged:,} moves of new users, of {self.users:,} of them, "
            "are not counted"
        )
        if not self.latest:
            return f"{told}; none of the last week"
        one = self.latest[0]
        return (
            f"{told}, {self.lately:,} of the last week; most to '{one.description}' on {one.day}: "
            f"{one.held:,} of {one.came:,}, since {one.established:,} established users went there"
        )


def screened(ws: Workspace, release: Release | None) -> Screened | None:
    """What the run that made a release held back; None where it did not screen, or its record is gone."""
    if release is None:
        return None
    try:
        steps = ws.ledger.get(release.run).steps
        found = next((step.details for step in steps if step.name == "screen"), None)
    except ArtifactError:  # damage is a level of its own
        return None
    if not found:
        return None
    latest = tuple(
        Burst(one["day"], one["description"], one["held"], one["came"], one["established"])
        for one in found["latest"]
    )
    judged, held, users, lately = (
        int(found[name]) for name in ("judged", "held_back", "users", "held_back_lately")
    )
    return Screened(release.run, judged, held, users, lately, latest)
