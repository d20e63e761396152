"""`freshet forget` as people and programs call it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.conftest import answered, called
from tests.cli.test_export import documented, keys


@pytest.fixture
def somebody(copy: Path) -> str:
    """Whom the log holds."""
    from freshet.stages.events import EventLog
    from freshet.storage import sql

    with sql.connect() as db:
        (found,) = sql.row(db, f'SELECT max("user") FROM {EventLog(copy).snapshot().scan}')
    return str(found)


def test_a_person_is_forgotten_and_a_receipt_verified(copy: Path, tmp_path: Path, somebody: str) -> None:
    there = answered("forget", "-w", copy, "--user", somebody, "--dry-run")
    assert there["found"]
    assert (there["run"], there["receipt"], there["removed"]) == (None, None, {})
    named = tmp_path / "users.txt"
    named.write_text(f"\ufeff{somebody}\n\nnobody-known\n")
    done = answered("forget", "-w", copy, "--users-file", named)
    assert keys({**done, "removed": 0}) - documented("freshet forget") == set()
    assert done["found"] == []
    assert done["removed"]["events"] > 0
    assert len(done["people"]) == 2
    assert somebody not in json.dumps(done)

    verified = called("forget", "-w", copy, "--verify", done["receipt"], "--user", somebody, "--json")
    assert json.loads(verified.stdout)["sound"] is True
    assert called("forget", "-w", copy, "--verify", done["receipt"], "--user", "else").returncode == 2
    again = called("forget", "-w", copy, "--user", somebody)
    assert again.returncode == 0
    assert "nothing: nobody was there" in again.stdout
    assert "receipt: " in again.stdout


def test_wrong_calls_are_refused_with_words(copy: Path, tmp_path: Path) -> None:
    for arguments, words in (
        ([], "nobody is named"),
        (["--user", " "], "empty id"),
        (["--users-file", tmp_path / "none"], "can't be read"),
        (["--verify", tmp_path / "none"], "not found"),
    ):
        done = called("forget", "-w", copy, *arguments)
        assert done.returncode == 2, arguments
        assert words in done.stderr
