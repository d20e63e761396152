"""The commands in the order a person uses them, on one workspace with two releases."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from freshet.cli import inspect_commands
from tests.cli.conftest import FIRST, INTERESTS, LAST, answered, called, freshet, rows


def test_status_tells_what_serves_and_what_drives_the_log(shop: Path) -> None:
    found = answered("status", "-w", shop)
    assert found["cut_short"] == []
    assert found["release"]["number"] == 2
    assert found["release"]["as_of"] == LAST
    assert found["behind_days"] == 0
    assert found["due"] == found["waiting"] == []
    assert found["running"] is False
    assert found["log"]["last"] == "2024-02-29"
    assert found["log"]["quarantined"] == 0
    drives = found["drives"]
    assert drives["counts_win"] is True
    assert drives["planner"] is None
    assert [drive["name"] for drive in drives["features"]][-3:] == ["last", "pair", "recent"]
    assert all(drive["low"] <= drive["weight"] <= drive["high"] for drive in drives["features"])


def test_explain_ranks_what_the_context_does_not_hold(shop: Path) -> None:
    found = answered("explain", "-w", shop, "1", "2")
    assert [one["id"] for one in found["asked"]] == [1, 2]
    assert found["answered"] == found["asked"]
    assert found["fallback"] is False
    assert found["prompt"] is None  # plain counts ask no model
    fused = [one["fused"] for one in found["successors"]]
    assert fused == sorted(fused, reverse=True)
    assert sum(fused) == pytest.approx(1, abs=1e-3)  # ten candidates, ten shown
    assert {one["id"] for one in found["successors"]} == set(range(INTERESTS)) - {1, 2}
    assert found["provenance"]["release"] == 2
    assert found["provenance"]["as_of"] == LAST


def test_explain_knows_an_interest_by_its_words(shop: Path) -> None:
    by_id = answered("explain", "-w", shop, "3", "--release", "1")
    assert by_id["provenance"]["as_of"] == FIRST
    by_name = answered("explain", "-w", shop, by_id["asked"][0]["description"].upper(), "--release", "1")
    assert by_name == by_id


@pytest.mark.parametrize(
    ("context", "message"),
    [
        (["1", "2", "3"], "at most 2 interests"),
        (["1", "1"], "given twice"),
        (["no such words"], "there is no interest 'no such words'"),
    ],
)
def test_explain_refuses_what_is_no_context(shop: Path, context: list[str], message: str) -> None:
    assert message in answered("explain", "-w", shop, *context, code=2)["error"]["message"]


def test_diff_compares_two_releases(shop: Path) -> None:
    found = answered("diff", "-w", shop, "1", "2")
    assert found["rows"] == 1 + INTERESTS + INTERESTS * (INTERESTS - 1)
    assert 0 < found["changed"] <= found["rows"]
    assert 0 < found["observed_churn"] < 1
    assert found["only_a"] == found["only_b"] == 0
    for row in found["most"]:
        before, after = ({one["id"] for one in row[side]} for side in ("before", "after"))
        assert row["churn"] == pytest.approx(1 - len(before & after) / len(before | after))
    same = answered("diff", "-w", shop, "2", "2")
    assert same["changed"] == 0
    assert same["churn"] == 0
    assert same["most"] == []


def test_history_lists_runs_and_shows_one(shop: Path) -> None:
    runs = answered("history", "-w", shop)["runs"]
    assert [(run["command"], run["outcome"], run["release"]) for run in runs[:2]] == [
        ("run", "done", 1),
        ("refresh", "done", 2),
    ]
    one = answered("history", "-w", shop, "1")["run"]
    assert [step["name"] for step in one["steps"]][:2] == ["import", "items"]
    assert one["money"] > 0
    assert "there is no run" in answered("history", "-w", shop, "77", code=2)["error"]["message"]


def test_history_lists_the_last_runs(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = answered("history", "-w", shop)["runs"]
    assert answered("history", "-w", shop, "--last", "1")["runs"] == runs[-1:]
    assert answered("history", "-w", shop, "--last", "1000")["runs"] == runs
    listed = called("history", "-w", shop, "--last", "1").stdout
    assert f"{len(runs) - 1:,} earlier runs are not listed" in listed.replace("\n", " ")
    assert runs[-1]["id"] in listed
    assert runs[0]["id"] not in listed
    assert "earlier runs" not in called("history", "-w", shop).stdout
    monkeypatch.setattr(inspect_commands, "LISTED", 1)
    assert runs[0]["id"] not in called("history", "-w", shop).stdout
    assert answered("history", "-w", shop)["runs"] == runs
    assert "--last 1" in answered("history", "-w", shop, "1", "--last", "1", code=2)["error"]["message"]


def test_interests_are_listed_without_a_run(shop: Path) -> None:
    before = sorted((shop / "runs").glob("*.json"))
    found = answered("interests", "-w", shop)
    assert found["run"] is None
    assert len(found["interests"]) == INTERESTS
    assert sum(one["traffic"] for one in found["interests"]) == pytest.approx(1)
    assert all(one["samples"] for one in found["interests"])
    assert sorted((shop / "runs").glob("*.json")) == before


def test_a_person_reads_the_same(shop: Path) -> None:
    for command, expected in (
        (["status"], "release 2 serves"),
        (["history"], "refresh"),
        (["history", "1"], "transitions"),
        (["diff", "1", "2"], "rows changed"),
        (["explain", "1"], "next interest"),
        (["interests"], "coherence"),
    ):
        done = called(*command, "-w", shop)
        assert done.returncode == 0
        assert expected in done.stdout


def test_rollback_serves_the_release_before(copy: Path) -> None:
    found = answered("rollback", "-w", copy)
    assert (found["before"], found["release"]["number"]) == (2, 1)
    assert (copy / "CURRENT").read_text().strip() == "1"
    status = answered("status", "-w", copy)
    assert status["release"]["number"] == 1
    assert [due["path"] for due in status["due"]] == ["refresh"]
    assert "no earlier release" in answered("rollback", "-w", copy, code=2)["error"]["message"]
    assert answered("rollback", "-w", copy, "2")["release"]["number"] == 2


def test_a_moment_in_the_past_leaves_the_release_alone(copy: Path) -> None:
    found = answered("refresh", "-w", copy, "--as-of", "2024-02-25")
    assert found["run"]["release"] is None
    assert (copy / "CURRENT").read_text().strip() == "2"
    tables = {step["artifact"] for step in found["run"]["steps"] if step["name"] == "table"}
    assert all((copy / table).is_dir() for table in tables)
    published = answered("refresh", "-w", copy, "--as-of", "2024-02-25", "--publish")
    assert published["run"]["release"] == 3


def test_a_dry_run_tells_the_plan_and_makes_nothing(copy: Path) -> None:
    tables = sorted((copy / "tables").iterdir())
    found = answered("refresh", "-w", copy, "--as-of", "2024-02-24", "--dry-run")
    [plan] = [step["details"] for step in found["run"]["steps"] if step["name"] == "plan"]
    assert (plan["rows"], plan["changed"]) == (1 + INTERESTS**2, 0)  # plain counts infer nothing
    assert found["run"]["release"] is None
    assert sorted((copy / "tables").iterdir()) == tables
    assert "nothing was published" in called("refresh", "-w", copy, "--dry-run").stdout
    refused = answered("refresh", "-w", copy, "--dry-run", "--publish", code=2)["error"]
    assert "--publish" in refused["message"]


def test_importing_again_and_running_again_change_nothing(copy: Path) -> None:
    release = json.loads((copy / "releases" / "2.json").read_text())
    before = rows(copy, release["table"])
    found = answered("import", "-w", copy)
    assert found["files"][0]["added"] == 0
    assert found["files"][0]["duplicates"] == found["files"][0]["rows"] > 0
    again = answered("run", "-w", copy)["run"]
    assert again["release"] == 2
    assert sorted(path.stem for path in (copy / "releases").iterdir()) == ["1", "2"]
    assert rows(copy, release["table"]) == before


@pytest.mark.slow
def test_demo_on_a_log_of_ones_own(place: Path) -> None:
    arguments = (
        "demo", place / "demo", "--events", place / "world" / "events.parquet", "--items",
        place / "world" / "items.parquet", "--positive", "value >= 7", "--interests", INTERESTS,
        "--planner", "counts",
    )  # fmt: skip
    found = answered(*arguments, run=freshet)
    assert found["simulated"] is False
    assert (found["first"]["as_of"], found["second"]["as_of"]) == ("2024-02-26", LAST)
    assert found["diff"]["changed"] > 0
    assert found["explanation"]["asked"] in [row["context"] for row in found["diff"]["most"]]
    assert (place / "demo" / "report.html").stat().st_size > 1000
    served = found["served"]
    assert served["release"] == 3  # counts, the same beside their ranker of items, the refresh
    assert found["by_models"] is None
    assert len(served["context"]) == len(found["explanation"]["asked"])
    assert all(offer["explanation"]["because"] for offer in served["interests"])
    again = answered(*arguments)  # a repeated demo goes on with what is there
    assert again["diff"] == found["diff"]
