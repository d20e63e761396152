"""A whole closed loop as a person starts it: real pipeline, real serving, SIMULATED people."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from freshet.cli import show_simulation
from freshet.simulator import SIMULATED
from freshet.simulator.slot_impressions import ORACLES

pytestmark = pytest.mark.slow

ARMS = "static,hybrid,popularity"


def simulate(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    call = [sys.executable, "-m", "freshet", "simulate", "--users", "150", "--days", "3", "--arms", ARMS]
    call += ["--planner", "counts", "--refresh-days", "1,3", "--seed", "7", "--dir", str(folder), "--json"]
    call += ["--max-steps", "60"]
    return subprocess.run([*call, *options], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("loop") / "sim"
    done = simulate(folder)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def test_everybody_is_answered_by_their_arm(lived: tuple[Path, dict[str, Any]]) -> None:
    folder, told = lived
    impressions = pq.read_table(folder / "world" / "offers.parquet")
    arm, release = impressions["arm"].to_numpy(), impressions["release"].to_numpy()
    day, user = impressions["day"].to_numpy(), impressions["user"].to_numpy()
    assert {*arm} == {0, 1, 2}
    assert all(len({*arm[user == one]}) == 1 for one in np.unique(user))  # sticky
    assert {*release[arm == 0]} == {2}  # the first table, beside its ranker of items
    assert {*release[(arm > 0) & (day < 3)]} == {3}
    assert {*release[(arm > 0) & (day == 3)]} == {4}
    assert told["order"] == ARMS.split(",")
    assert told["trained"].keys() == told["steps"].keys() == {"ranker"}  # counts need no other training
    assert all(0 < steps <= 60 for steps in told["steps"]["ranker"].values())
    assert told["stopped"] == []
    assert sum(one["impressions"] for one in told["arms"].values()) == len(impressions)
    assert (impressions["best"].to_numpy() >= impressions["expected"].to_numpy()).all()


def test_what_was_shown_and_what_came_of_it_is_in_the_workspace(lived: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = lived
    impressions = pq.read_table(folder / "world" / "offers.parquet")
    shown = pq.read_table(folder / "impressions")
    assert len(shown) == len(impressions)
    assert {*shown["arm"].to_pylist()} == {*ARMS.split(",")}
    days = [pq.read_table(path) for path in (folder / "events").rglob("*.parquet")]
    told = [day["impression"].to_pylist() for day in days if "impression" in day.column_names]
    following = [one for day in told for one in day if one]
    assert {*following} == {*shown["id"].to_pylist()}


def test_it_says_that_it_is_simulated_and_holds_no_future(lived: tuple[Path, dict[str, Any]]) -> None:
    folder, told = lived
    assert told["simulated"] == SIMULATED
    for name in ("events", "items", "offers"):
        assert pq.read_schema(folder / "world" / f"{name}.parquet").metadata[b"freshet"] == SIMULATED.encode()
    first, *later = (json.loads((folder / "releases" / f"{n}.json").read_text()) for n in (2, 3, 4))
    assert first["as_of"] == "2024-03-31"  # 30 days before the experiment
    assert [one["as_of"] for one in later] == ["2024-04-30", "2024-05-02"]


def test_oracles_stand_beside_the_arms_for_the_same_offers(lived: tuple[Path, dict[str, Any]]) -> None:
    folder, told = lived
    assert [*told["oracles"]] == list(ORACLES)
    impressions = pq.read_table(folder / "world" / "offers.parquet")
    best, day = impressions["best"].to_numpy(), impressions["day"].to_numpy()
    taken = {name: impressions[f"oracle_{name}"].to_numpy() for name in ORACLES}
    for name, one in told["oracles"].items():
        assert one["worth"] == pytest.approx((taken[name] / best).mean())
        assert (taken[name] <= best + 1e-12).all()
        assert len(one["by_day"]) == told["days"]
    # refreshed on days 1 and 3: on these days the last refresh knows what is true today
    same = taken["truth_last_refresh"] == taken["truth_today"]
    assert same[day != 2].all()
    assert not same[day == 2].all()
    assert told["oracles"]["truth_today"]["worth"] > told["oracles"]["truth_first_release"]["worth"]
    assert told["arms"]["popularity"]["against"].keys() == {"hybrid"}


def test_a_person_is_told_of_oracles_of_trainings_and_of_what_the_planner_is(
    lived: tuple[Path, dict[str, Any]],
) -> None:
    _, told = lived
    text = show_simulation.experiment(told)
    worth = 100 * told["oracles"]["popularity_last_refresh"]["worth"]
    assert f"{worth:.2f}" in next(
        line for line in text.splitlines() if "counted as of the last refresh" in line
    )
    assert "known in a simulation alone" in text
    assert "counts, no model" in text
    ranker = f"trained: ranker {told['trained']['ranker']:g} passes"
    assert any(line.startswith(f"{ranker} (steps: early ") for line in text.splitlines())
    assert told["stopped"] == []
    assert "no pretrained language model" in show_simulation.experiment({**told, "planner": "scratch"})
    cut = show_simulation.experiment({**told, "stopped": ["ranker"], "steps": {"ranker": {"early": 1200}}})
    assert f"{ranker} (steps: early 1,200), cut short by the clock" in cut


def test_the_same_seed_gives_the_same_figures(lived: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    folder, _ = lived
    done = simulate(tmp_path / "again")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "again" / "figures.json").read_bytes() == (folder / "figures.json").read_bytes()


def test_a_folder_that_is_there_is_refused(tmp_path: Path) -> None:
    done = simulate(tmp_path)
    assert done.returncode == 2
    assert "is there already" in done.stderr


def test_arms_and_days_that_make_no_experiment_are_refused(tmp_path: Path) -> None:
    done = simulate(tmp_path / "a", "--arms", "static,best")
    assert done.returncode == 2
    assert "can't serve 'best'" in done.stderr
    assert not (tmp_path / "a").exists()
    done = simulate(tmp_path / "b", "--refresh-days", "9")
    assert "not days of the experiment" in done.stderr
    done = simulate(tmp_path / "c", "--drift", "wild")
    assert "--drift 'wild'" in done.stderr
