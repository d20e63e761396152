"""The local store keeps the contract; the suite catches stores that don't."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from freshet.backends.local_store import LocalStore, write_manifest
from freshet.checks import check_store
from freshet.storage.artifacts import Artifact, Draft
from freshet.storage.checksums import sha256


def test_local_store(tmp_path: Path) -> None:
    check_store(LocalStore(tmp_path))


class CommitsFailures(LocalStore):
    """Writes in place, so that a block that raises leaves its half behind."""

    @contextmanager
    def create(self, kind: str, version: str) -> Iterator[Draft]:
        draft = Draft(self.root / kind / version, {})
        draft.path.mkdir(parents=True)
        try:
            yield draft
        finally:
            write_manifest(kind, version, draft)


class Trusts(LocalStore):
    """Takes whatever lies in the folder for what was written."""

    def find(self, kind: str, version: str) -> Artifact | None:
        found = super().find(kind, version)
        if found is None:
            return None
        folder = self.root / kind / version
        for name in found.manifest["files"]:
            found.manifest["files"][name] = sha256(folder / name) if (folder / name).exists() else ""
        return found


class Forgets(LocalStore):
    """Loses the caller's manifest."""

    @contextmanager
    def create(self, kind: str, version: str) -> Iterator[Draft]:
        with super().create(kind, version) as draft:
            yield draft
            draft.manifest.clear()


class Unordered(LocalStore):
    def versions(self, kind: str) -> list[str]:
        return sorted(super().versions(kind))


@pytest.mark.parametrize(
    ("store", "message"),
    [
        (CommitsFailures, "failed draft"),
        (Forgets, "did not survive"),
        (Unordered, "oldest first"),
        (Trusts, "damaged"),
    ],
)
def test_a_broken_promise_is_named(tmp_path: Path, store: type[LocalStore], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_store(store(tmp_path))
