"""Artifacts: immutable folders of files under a kind and a version, and the stores that hold them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from freshet.core.errors import ArtifactError
from freshet.storage.checksums import verify


def _nothing() -> None:
    """All files are there."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """A committed, immutable folder of files, valid because its manifest is there.

    Attributes:
        folder: where it lies; `path` is the way to its files.
        manifest: what `manifest.json` holds; `freshet.storage.manifests` has a type for each kind.
        fetch: brings the files there, where they lie elsewhere until they are needed.
    """

    kind: str
    version: str
    folder: Path
    manifest: dict[str, Any]
    fetch: Callable[[], None] = field(default=_nothing, compare=False, repr=False)

    @property
    def path(self) -> Path:
        """The folder, after its files were compared with their checksums (once while they don't change).

        Raises:
            ArtifactError: a file is missing or damaged.
        """
        self.fetch()
        verify(self.folder, self.manifest["files"])
        return self.folder


@dataclass(slots=True)
class Draft:
    """A folder being written; `manifest` is stored last, when the `create` block ends without an error."""

    path: Path
    manifest: dict[str, Any]


class Store(Protocol):
    """Where artifacts live."""

    def find(self, kind: str, version: str) -> Artifact | None:
        """The artifact if it was committed, else None."""

    def create(self, kind: str, version: str) -> AbstractContextManager[Draft]:
        """A draft that becomes the artifact when the block ends well and vanishes when it doesn't."""

    def versions(self, kind: str) -> list[str]:
        """Committed versions of a kind, by what their manifests say: `as_of`, `generation`, `version`.

        So a copy of the store lists them in the same order.
        """


def committed(store: Store, kind: str, version: str) -> Artifact:
    """An artifact that has to be there.

    Raises:
        ArtifactError: it is missing, or its manifest is damaged.
    """
    artifact = store.find(kind, version)
    if artifact is None:
        raise ArtifactError(
            f"{kind}/{version} is missing", hint="`freshet doctor` tells which releases can be opened"
        )
    return artifact


def newest_first(store: Store, kind: str) -> Iterator[Artifact]:
    """All artifacts of a kind, from new to old as `Store.versions` orders them."""
    for version in reversed(store.versions(kind)):
        artifact = store.find(kind, version)
        if artifact is not None:
            yield artifact


def newest(store: Store, kind: str, fits: Callable[[Artifact], bool] = lambda _: True) -> Artifact | None:
    """The newest artifact of a kind that fits; None where none does."""
    return next(filter(fits, newest_first(store, kind)), None)
