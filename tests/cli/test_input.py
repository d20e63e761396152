"""Wrong settings and bad logs: a message that says what to do and exit code 2, never a traceback."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from freshet.core.config import Config, load
from tests.cli.conftest import answered, called

START = datetime(2024, 1, 1)
HEAD = "user_id,item_id,timestamp,value\n"


def _log(users: int, items: int, start: datetime = START) -> bytes:
    lines = [
        f"u{row % users},i{row % items},{(start + timedelta(hours=7 * row)).isoformat()},8\n"
        for row in range(200)
    ]
    return (HEAD + "".join(lines)).encode()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("nothing.csv", b"", "is empty"),
        ("empty.csv", HEAD.encode(), "the log holds no events"),
        ("one_user.csv", _log(1, 30), "interests need at least 2 engaged items"),
        ("one_item.csv", _log(200, 1), "interests need at least 2 engaged items"),
        ("no_item.csv", b"user_id,timestamp,value\nu,2024-01-01,8\n", "has no column 'item_id' for the item"),
        ("no_time.csv", HEAD.encode() + b"u,i,yesterday,8\n", "none of its 1 rows can be used"),
        ("future.csv", _log(9, 9, datetime(2999, 1, 1)), "none of its 200 rows can be used"),
        ("broken.parquet", b"PAR1 and then something else", "can't be read"),
    ],
)
def test_a_log_that_cannot_be_used(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "freshet.toml").write_text(
        f'[events]\nfiles = ["{name}"]\n[interests]\ncount = 4\n[planner]\nkind = "counts"\n'
    )
    problem = answered("run", "-w", tmp_path, code=2)["error"]
    assert message in problem["message"]
    assert problem["hint"]


def test_refused_rows_are_counted(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_bytes(_log(9, 9) + b"u,i,yesterday,8\n,i,2024-01-01,8\n")
    (tmp_path / "freshet.toml").write_text('[events]\nfiles = ["log.csv"]\n')
    done = called("import", "-w", tmp_path)
    assert done.returncode == 0
    assert "quarantined: 1 rows" in done.stderr
    assert answered("status", "-w", tmp_path)["log"]["quarantined"] == 2


def test_an_unknown_key_is_named(tmp_path: Path) -> None:
    (tmp_path / "freshet.toml").write_text("[interests]\nnumber = 4\n")
    problem = answered("run", "-w", tmp_path, code=2)["error"]
    assert problem["type"] == "ConfigError"
    assert "[interests.number]" in problem["message"]


def test_init_writes_what_was_chosen_and_only_once(place: Path) -> None:
    arguments = (
        "init", place / "chosen", "--events", place / "world" / "events.parquet", "--planner", "counts",
        "--novelty-days", "ever", "--k", "3", "--taxonomy", "category", "--column", "user=who",
        "--column", "title=name", "--positive", "value >= 7 and who != 'it\"s'",
    )  # fmt: skip
    assert answered(*arguments)["settings"] == str(place / "chosen" / "freshet.toml")
    config = load(place / "chosen" / "freshet.toml")
    assert config.events.files == (str(place / "world" / "events.parquet"),)
    assert config.events.positive == "value >= 7 and who != 'it\"s'"
    assert config.events.columns.user == "who"
    assert config.events.item_columns.title == "name"
    assert config.transitions.novelty_days == "ever"
    assert config.transitions.k == 3
    assert config.interests.taxonomy == "category"
    assert "# how many interests" in (place / "chosen" / "freshet.toml").read_text()
    assert "exists already" in answered(*arguments, code=2)["error"]["message"]
    assert called(*arguments, "--force").returncode == 0


def test_init_without_options_has_the_defaults_of_the_configuration(tmp_path: Path) -> None:
    answered("init", tmp_path / "plain")
    assert load(tmp_path / "plain" / "freshet.toml") == Config()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--events", "nowhere.parquet"], "nowhere.parquet not found"),
        (["--events", "world/events.parquet", "--positive", "value >="], "expected"),
        (["--events", "world/events.parquet", "--interests", "1"], "interests.count"),
        (["--events", "world/events.parquet", "--column", "users=who"], "is not PART=NAME"),
        (["--events", "world/events.parquet", "--planner", "transformers"], "needs --model"),
        (["--events", "world/events.parquet", "--novelty-days", "soon"], "neither a number of days"),
    ],
)
def test_init_checks_what_it_writes(
    place: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(place)
    done = called("init", "wrong", *arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert message in done.stderr
    assert not (place / "wrong").exists()


def test_a_wrong_option_is_told_as_json_too(tmp_path: Path) -> None:
    assert "--bogus" in answered("run", "--bogus", code=2)["error"]["message"]
    for day, why in (("soon", "not a date"), ("2204-05-01", "lies in the future")):
        assert why in answered("refresh", "--as-of", day, "-w", tmp_path, code=2)["error"]["message"]


@pytest.mark.parametrize("name", ["/tmp/\ud800", "/tmp/\0"])
def test_a_name_that_no_folder_can_have_is_refused(name: str) -> None:
    assert called("status", "-w", name).returncode == called("init", name).returncode == 2
