"""A file of which no row can be used: an error, and a log that is behind until it is made good."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from freshet.storage.durable import read_json
from tests.cli.conftest import LAST, answered, called

HEAD = "user_id,item_id,timestamp,value\n"
START = datetime(2022, 3, 1)


def _write(
    path: Path, days: int = 3, start: datetime = START, value: str = "8", time: str = "", per_day: int = 24
) -> Path:
    lines = [
        f'u{n % (per_day // 3 + 1)},i{n % 7},{time or (start + timedelta(days=n / per_day)).isoformat()},"{value}"\n'
        for n in range(per_day * days)
    ]
    path.write_text(HEAD + "".join(lines))
    return path


@pytest.fixture
def held(tmp_path: Path) -> Path:
    """A workspace with three days of events."""
    (tmp_path / "freshet.toml").write_text(
        '[events]\nfiles = ["a.csv"]\n[interests]\ncount = 2\n[planner]\nkind = "counts"\n'
    )
    _write(tmp_path / "a.csv")
    assert answered("import", "-w", tmp_path)["files"][0]["added"] == 72
    return tmp_path


def test_a_refused_file_is_an_error_with_an_example(held: Path) -> None:
    bad = _write(held / "b.csv", start=START + timedelta(days=3), value="4,5")
    problem = answered("import", "-w", held, bad, code=2)["error"]
    assert "b.csv: none of its 72 rows can be used (value is not a number: 72)" in problem["message"]
    assert json.loads(problem["message"].split("row 1: ")[1])["value"] == "4,5"
    assert "[events.columns] value" in problem["hint"]
    assert answered("status", "-w", held)["log"]["events"] == 72


def test_status_tells_that_the_log_is_behind_until_it_is_made_good(copy: Path) -> None:
    end = datetime.fromisoformat(LAST)
    assert answered("status", "-w", copy)["behind_days"] == 0
    bad = _write(copy / "b.csv", start=end, value="4,5")
    answered("import", "-w", copy, bad, code=2)
    state = answered("status", "-w", copy)
    assert state["behind_days"] == 3
    assert state["due"][0]["path"] == "import"
    assert "b.csv: none of its 72 rows can be used" in state["due"][0]["why"]
    old = _write(copy / "old.csv", start=end - timedelta(days=3), value="4,5")
    answered("import", "-w", copy, old, code=2)
    assert answered("status", "-w", copy)["behind_days"] is None
    unknown = _write(copy / "c.csv", time="le 3 avril")
    answered("import", "-w", copy, unknown, code=2)
    assert answered("status", "-w", copy)["behind_days"] is None
    shown = called("status", "-w", copy).stdout
    assert "an unknown number of days of events behind" in shown
    assert "nothing is due" not in shown
    for command in ("refresh", "run"):
        problem = answered(command, "-w", copy, code=2)["error"]
        assert "c.csv: none of its 72 rows" in problem["message"]
        assert "--as-of" in problem["hint"]
    last = answered("status", "-w", copy)["log"]["last"]
    assert answered("refresh", "-w", copy, "--as-of", last)["run"]["outcome"] == "done"
    _write(copy / "c.csv", start=end, per_day=480)  # thin days at the end would not count
    answered("import", "-w", copy, copy / "c.csv")
    state = answered("status", "-w", copy)
    assert state["behind_days"] == 3
    assert "refused" not in json.dumps(state["due"])
    assert answered("refresh", "-w", copy)["run"]["release"] == 3
    assert answered("status", "-w", copy)["behind_days"] == 0


def test_a_configured_file_that_is_refused_stops_the_run(held: Path) -> None:
    _write(held / "a.csv", start=START + timedelta(days=3), time="soon")
    assert "a.csv: none of its 72 rows" in answered("run", "-w", held, code=2)["error"]["message"]
    assert answered("history", "-w", held)["runs"][-1]["outcome"] == "failed"


def test_what_was_imported_before_a_refused_source_stays(held: Path) -> None:
    good = _write(held / "b.csv", start=START + timedelta(days=3))
    bad = _write(held / "c.csv", start=START + timedelta(days=6), value="x")
    answered("import", "-w", held, good, bad, code=2)
    assert answered("status", "-w", held)["log"]["events"] == 144
    (last,) = [read_json(path) for path in sorted((held / "runs").glob("*.json"))][-1:]
    (details,) = [step["details"] for step in last["steps"] if step["name"] == "import"]
    assert (details["added"], details["refused"], details["until"]) == (72, str(bad), "2022-03-09")


def test_another_file_that_brings_events_makes_good_and_one_of_known_events_does_not(held: Path) -> None:
    bad = _write(held / "b.csv", start=START + timedelta(days=3), value="x")
    answered("import", "-w", held, bad, code=2)
    answered("import", "-w", held)
    assert "refused" in json.dumps(answered("status", "-w", held)["due"])
    answered("import", "-w", held, _write(held / "c.csv", start=START + timedelta(days=3)))
    assert "refused" not in json.dumps(answered("status", "-w", held)["due"])


def test_a_file_that_is_not_there_was_not_offered(held: Path) -> None:
    answered("import", "-w", held, held / "typo.csv", code=2)
    assert "refused" not in json.dumps(answered("status", "-w", held)["due"])


def test_no_rows_at_all_are_an_error_for_an_empty_log_only(tmp_path: Path) -> None:
    (tmp_path / "freshet.toml").write_text('[planner]\nkind = "counts"\n')
    (tmp_path / "empty.csv").write_text(HEAD)
    problem = answered("import", "-w", tmp_path, tmp_path / "empty.csv", code=2)["error"]
    assert "the log holds no events" in problem["message"]
    answered("import", "-w", tmp_path, _write(tmp_path / "a.csv"))
    assert (
        "holds no events"
        in answered("import", "-w", tmp_path, tmp_path / "empty.csv")["files"][0]["notes"][0]
    )
