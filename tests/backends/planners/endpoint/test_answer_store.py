from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from freshet.backends.planners.endpoint import answer_store
from freshet.backends.planners.endpoint.answer_store import AnswerStore
from freshet.backends.planners.endpoint.chat import ChatAnswer
from freshet.core.errors import ArtifactError

ANSWER = ChatAnswer("A\n\u2028 ü", (("A", -0.1234567890123456), (" B", -99.0)), 40, 1)


def test_an_answer_comes_back_as_it_was(tmp_path: Path) -> None:
    AnswerStore(tmp_path).keep({"one": ANSWER, "other": ChatAnswer("")})
    assert AnswerStore(tmp_path).find(["one", "none", "other"]) == {"one": ANSWER, "other": ChatAnswer("")}


def test_looking_into_a_store_that_is_not_there_makes_none(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path)
    assert (store.find(["one"]), len(store)) == ({}, 0)
    assert list(tmp_path.iterdir()) == []


def test_many_identities_are_found_at_once(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path)
    store.keep({str(number): ChatAnswer(str(number)) for number in range(1800)})
    found = store.find(str(number) for number in range(0, 3600, 2))
    assert found == {str(number): ChatAnswer(str(number)) for number in range(0, 1800, 2)}


def test_the_oldest_answers_go_when_there_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(answer_store, "MOST", 10)
    AnswerStore(tmp_path).keep({str(number): ANSWER for number in range(25)})
    store = AnswerStore(tmp_path)
    store.keep({"new": ANSWER})
    assert sorted(store.find([*map(str, range(25)), "new"]), key=str) == sorted(
        [*map(str, range(15, 25)), "new"]
    )


def test_two_processes_may_use_it(tmp_path: Path) -> None:
    one, other = AnswerStore(tmp_path), AnswerStore(tmp_path)
    one.keep({"a": ANSWER})
    other.keep({"b": ANSWER, "a": ANSWER})
    assert set(one.find(["a", "b"])) == {"a", "b"}


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    store = AnswerStore(tmp_path)
    store.path.parent.mkdir()
    store.path.write_bytes(b"no database" * 100)
    with pytest.raises(ArtifactError, match=r"answers\.sqlite3 can't be used.*\n.*no table is lost"):
        store.find(["one"])


def test_what_was_kept_is_on_the_disk(tmp_path: Path) -> None:
    """Read by another connection while the first is open."""
    store = AnswerStore(tmp_path)
    store.keep({"one": ANSWER})
    with sqlite3.connect(store.path) as beside:
        assert beside.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert beside.execute("SELECT count(*) FROM answers").fetchone() == (1,)
    beside.close()
