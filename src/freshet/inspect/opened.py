"""A release opened for reading: its table and the interests its rows speak of."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

from freshet.core.errors import ArtifactError
from freshet.core.types import Context, Evidence, Interests
from freshet.stages import evidence, interests, table
from freshet.storage.artifacts import Artifact
from freshet.storage.durable import read_json
from freshet.storage.releases import Release
from freshet.storage.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Named:
    """An interest as a person meets it."""

    id: int
    description: str


@dataclass(frozen=True)
class Opened:
    """A release with its artifact, its table (memory-mapped) and its interests."""

    release: Release
    made: Artifact
    interests: Interests
    table: table.Table

    @cached_property
    def said(self) -> Evidence:
        """Evidence by context; read once, it has a row for almost every context."""
        return evidence.read(self.made.path / "evidence.parquet")

    def weights(self) -> dict[str, Any]:
        """The fitted mixture behind the table, as it was stored."""
        stored = dict(read_json(self.made.path / "mixture.json"))
        if "transition_half_life" not in stored:  # where it was not yet chosen on held-out windows
            stored["transition_half_life"] = stored["scales"]["transition_half_life"]
        return stored

    def named(self, index: int) -> Named:
        return Named(int(self.interests.ids[index]), self.interests.descriptions[index])

    def names(self, context: Context) -> tuple[Named, ...]:
        return tuple(self.named(index) for index in context)


def open_release(ws: Workspace, number: int | None = None) -> Opened:
    """Open a release; the current one unless a number is given.

    Raises:
        ArtifactError: there is no such release, or a part of it is missing.
    """
    release = ws.releases.current() if number is None else ws.releases.get(number)
    if release is None:
        raise ArtifactError("no release is published yet", hint="`freshet run` makes the first one")
    made = artifact(ws, "tables", release.table)
    known = interests.load(artifact(ws, "interests", release.interests).path)
    return Opened(release, made, known, table.Table(made.path, len(known)))


def artifact(ws: Workspace, kind: str, version: str) -> Artifact:
    """An artifact that must be there; raises ArtifactError if it isn't."""
    found = ws.store.find(kind, version)
    if found is None:
        raise ArtifactError(
            f"{kind}/{version} is missing from {ws.root}", hint="`freshet run` makes what is missing"
        )
    return found
