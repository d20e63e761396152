"""The local store keeps the contract; the suite catches stores that don't."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from freshet.backends.stores.local import MANIFEST, LocalStore
from freshet.checks import check_store
from freshet.ports import Draft


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
            (draft.path / MANIFEST).write_text(
                json.dumps(
                    {
                        **draft.manifest,
                        "files": {
                            path.relative_to(draft.path).as_posix(): ""
                            for path in draft.path.rglob("*")
                            if path.is_file()
                        },
                    }
                )
            )


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
    [(CommitsFailures, "failed draft"), (Forgets, "did not survive"), (Unordered, "oldest first")],
)
def test_a_broken_promise_is_named(tmp_path: Path, store: type[LocalStore], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_store(store(tmp_path))
