"""LMDB keeps the contract; the suite catches states that don't."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import pytest

from freshet.backends.user_stores.lmdb_store import LmdbUserStore
from freshet.checks import check_user_store
from freshet.core.types import Fact, History


def test_lmdb(tmp_path: Path) -> None:
    check_user_store(lambda: LmdbUserStore(tmp_path / "state", 1))


class CountsDoubles(LmdbUserStore):
    """Calls everything new."""

    def record(self, facts: Sequence[Fact]) -> list[bool]:
        return [True for _ in super().record(facts)]


class Overwrites(LmdbUserStore):
    """Lets a loaded history replace what facts said."""

    def merge(self, histories):
        for user, history in histories:
            super().merge([(user, history), (user, History.empty())])
            self.loaded[user] = history

    loaded: ClassVar[dict[bytes, History]] = {}

    def histories(self, users: Sequence[bytes]) -> list[History]:
        known = super().histories(users)
        return [self.loaded.get(user, one) for user, one in zip(users, known, strict=True)]


class KeepsAll(LmdbUserStore):
    """Never trims."""

    def __init__(self, *args) -> None:
        super().__init__(*args)
        self.events.trim = lambda upto: None


class Forgets(LmdbUserStore):
    """Keeps notes in memory."""

    def __init__(self, *args) -> None:
        super().__init__(*args)
        kept: dict[str, bytes] = {}
        self.notes.put = kept.__setitem__
        self.notes.get = kept.get


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (CountsDoubles, "new, of a known"),
        (Overwrites, "joined to"),
        (KeepsAll, "other entries than"),
        (Forgets, "notes were lost"),
    ],
)
def test_a_broken_promise_is_named(tmp_path: Path, state: type[LmdbUserStore], message: str) -> None:
    with pytest.raises(AssertionError, match=message):
        check_user_store(lambda: state(tmp_path / "state", 1))
