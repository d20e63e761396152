"""What a release needs to be opened, and what it can go without: the same for serving, rollback, doctor."""

from __future__ import annotations

from dataclasses import dataclass

from freshet.core.errors import ArtifactError
from freshet.storage.artifacts import Artifact, Store, committed
from freshet.storage.manifests import TableManifest, TransitionsManifest
from freshet.storage.releases import Release


@dataclass(frozen=True, slots=True)
class Parts:
    """The artifacts without which a release can't be opened, every file as it was written.

    The table names its transitions, and these the assignment of items; nothing else of them is read.
    """

    table: Artifact
    interests: Artifact
    assignment: Artifact


def parts_of(store: Store, release: Release) -> Parts:
    """The necessary parts.

    Raises:
        ArtifactError: one is missing or damaged.
    """
    table = whole(store, "tables", release.table)
    known = whole(store, "interests", release.interests)
    counted = committed(store, "transitions", TableManifest.of(table).inputs.transitions)
    return Parts(table, known, whole(store, "assignments", TransitionsManifest.of(counted).inputs.assignment))


def missing_of(store: Store, release: Release) -> tuple[str, ...]:
    """What serves beside the table but is missing or damaged; the release is opened without it."""
    beside = (
        ("overlays", release.overlay),
        ("rankers", release.ranker),
        ("feedback", release.feedback),
        ("user_rows", release.users),
        ("content", content_of(store, release)),
    )
    return tuple(
        f"{kind}/{version}" for kind, version in beside if version and not is_whole(store, kind, version)
    )


def content_of(store: Store, release: Release) -> str:
    """Version of the vectors that a release's table was made with; '' where there are none to be read."""
    try:
        return TableManifest.of(committed(store, "tables", release.table)).inputs.content
    except ArtifactError:
        return ""


def is_whole(store: Store, kind: str, version: str) -> bool:
    """Whether an artifact is there and every file of it as it was written."""
    try:
        whole(store, kind, version)
    except ArtifactError:
        return False
    return True


def whole(store: Store, kind: str, version: str) -> Artifact:
    """An artifact whose files were compared with their checksums; raises ArtifactError."""
    there = committed(store, kind, version)
    _ = there.path  # compares
    return there
