"""`freshet cadence` as its user meets it: the answer, its lines for freshet.toml, the files."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from freshet.core.config import parse
from tests.cli.conftest import answered, called, make_workspace

PERIOD = ("--from", "2024-02-12", "--to", "2024-02-20", "--every", "2d", "--tune-every", "4d")
MORE = "[inference]\ncalibration_prompts = 200\n[prices]\nper_hour = 0\nper_million_tokens = 1\n"


@pytest.fixture(scope="session")
def told(place: Path) -> tuple[Path, dict]:
    """A workspace nobody ever ran anything in, and what its cadence should be."""
    root = make_workspace(place / "cadence", "fake", MORE)
    return root, answered("cadence", "-w", root, *PERIOD)


def test_every_schedule_has_hit_rate_and_cost(told: tuple[Path, dict]) -> None:
    found = told[1]
    names = {"hybrid", "hybrid@4d", "hybrid@combined", "hybrid-adaptive", "hybrid-cost", "finetune"}
    assert {line["arm"] for line in found["schedules"]} == names
    for line in found["schedules"]:
        low, high = line["hit_at_5"]["ci95"]
        assert low <= line["hit_at_5"]["value"] <= high
        assert line["refreshes"] >= 1
        cost = line["cost"]
        for unit, value in cost["all"].items():
            assert value == pytest.approx(cost["refreshing"][unit] + cost["tuning"][unit])
    assert sum(line["chosen"] for line in found["schedules"]) == 1
    assert found["counts"]["difference"]["ci95"]


def test_the_lines_are_a_valid_configuration(told: tuple[Path, dict]) -> None:
    found = told[1]["schedule"]
    config = parse(found["toml"], "lines")
    assert config.schedule.policy == found["policy"]
    assert config.tuning.every_days == found["tune_days"] == 4


def test_it_leaves_json_parquet_and_a_page(told: tuple[Path, dict]) -> None:
    root, found = told
    assert json.loads((root / "cadence/cadence.json").read_text())["schedule"] == found["schedule"]
    rows = pq.read_table(root / "cadence/cadence.parquet").to_pylist()
    assert [row["arm"] for row in rows] == [line["arm"] for line in found["schedules"]]
    assert rows[0]["money_per_30_days"] == pytest.approx(found["schedules"][0]["cost"]["all"]["money"])
    page = (root / "cadence/cadence.html").read_text()
    assert found["headline"] in page
    assert "<script" not in page


def test_people_get_the_answer_first(told: tuple[Path, dict]) -> None:
    done = called("cadence", "-w", told[0], *PERIOD)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(told[1]["headline"][:30])
    assert "[schedule]\npolicy = " in done.stdout


def test_asked_again_it_repeats_nothing(told: tuple[Path, dict]) -> None:
    root = told[0]
    made = sorted(path.name for path in (root / "replay/rooms/2024-02-12/tables").iterdir())
    found = answered("cadence", "-w", root, *PERIOD)
    assert found["schedules"] == told[1]["schedules"]
    assert sorted(path.name for path in (root / "replay/rooms/2024-02-12/tables").iterdir()) == made


def test_without_a_planner_counts_have_a_cadence_too(place: Path) -> None:
    root = make_workspace(place / "cadence-counts", "counts")
    found = answered("cadence", "-w", root, *PERIOD)
    assert {line["arm"] for line in found["schedules"]} == {
        "counts",
        "counts@4d",
        "counts@combined",
        "static",
    }
    assert found["counts"] is None
    assert found["schedule"]["tune_days"] is None
