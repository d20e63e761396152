"""`freshet replay` as its user meets it: the answer, the files to check it by, and a kill in between."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import answered, called, make_workspace

ARMS = "static,retrieval,finetune,hybrid,hybrid-adaptive,hybrid-cost,counts,popularity"
PERIOD = ("--arms", ARMS, "--from", "2024-02-10", "--to", "2024-02-20", "--every", "2d", "--tune-every", "1w")
KEYS = ("hit_at_1", "hit_at_5", "hit_at_10", "nll", "novelty", "coverage")
MORE = "[inference]\ncalibration_prompts = 200\n[prices]\nper_hour = 0\nper_million_tokens = 1\n"
FOLDER = "replay/2024-02-10_2024-02-20_2d"


@pytest.fixture(scope="session")
def replayed(place: Path) -> tuple[Path, dict]:
    """A workspace nobody ever ran anything in, and what its replay answered."""
    root = make_workspace(place / "replayed", "fake", MORE)
    return root, answered("replay", "-w", root, *PERIOD)


def test_every_figure_has_its_interval(replayed: tuple[Path, dict]) -> None:
    arms = replayed[1]["arms"]
    assert {"static", "finetune", "retrieval", "hybrid", "counts", "popularity"} <= set(arms)
    for arm in arms.values():
        for key in KEYS:
            low, high = arm[key]["ci95"]
            assert low <= arm[key]["value"] <= high
        assert set(arm["cost"]) >= {"tokens", "flops", "seconds", "money"}
    assert replayed[1]["differences"]["hybrid_vs_counts"]["hit_at_5"]["ci95"]
    assert replayed[1]["recommendation"]["text"]


def test_a_figure_can_be_checked_from_the_files(replayed: tuple[Path, dict]) -> None:
    root, found = replayed
    judged = pq.read_table(root / FOLDER / "judged.parquet")
    hybrid = judged.filter(pc.equal(judged["arm"], "hybrid"))
    share = pc.mean(pc.cast(pc.less(hybrid["rank"], 5), "float64")).as_py()
    assert found["arms"]["hybrid"]["hit_at_5"]["value"] == pytest.approx(share)
    costs = pq.read_table(root / FOLDER / "costs.parquet")
    tokens = pc.sum(costs.filter(pc.equal(costs["arm"], "hybrid"))["tokens"]).as_py()
    assert found["arms"]["hybrid"]["cost"]["tokens"] == tokens > 0


def test_the_document_lies_beside_the_files(replayed: tuple[Path, dict]) -> None:
    root, found = replayed
    written = json.loads((root / FOLDER / "replay.json").read_text())
    assert all(found[key] == value for key, value in written.items() if key not in ("schema", "command"))


def test_people_get_the_answer_first(replayed: tuple[Path, dict]) -> None:
    done = called("replay", "-w", replayed[0], *PERIOD)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(replayed[1]["recommendation"]["headline"][:30])
    assert "hybrid" in done.stdout


def killed(root: Path, times: int) -> int:
    """Start a replay some times and kill it after its next origin; how often it was still at work."""
    command = [sys.executable, "-m", "freshet", "replay", "-w", str(root), *PERIOD]
    origins, kills = root / "replay/rooms/2024-02-10/origins", 0
    for _ in range(times):
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as running:
            done = len(list(origins.glob("*/manifest.json")))
            while running.poll() is None and len(list(origins.glob("*/manifest.json"))) <= done:
                time.sleep(0.02)
            running.kill()
        kills += running.returncode == -signal.SIGKILL
    return kills


def test_a_killed_replay_goes_on_and_ends_the_same(place: Path, replayed: tuple[Path, dict]) -> None:
    kills = number = 0
    while kills < 2:  # on a busy machine a replay may be over before it is killed: then another one
        number += 1
        assert number <= 5, "no replay could be killed twice"
        root = make_workspace(place / f"killed-replay {number}", "fake", MORE)
        kills = killed(root, 3)
    found = answered("replay", "-w", root, *PERIOD)
    for part in ("arms", "differences"):
        for name, value in replayed[1][part].items():
            assert {k: v for k, v in found[part][name].items() if k != "cost"} == {
                k: v for k, v in value.items() if k != "cost"
            }


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--arms", "hybird"), "no arm 'hybird'"),
        (("--every", "soon"), "'soon' is no number of days"),
        (("--from", "tomorrow"), "--from 'tomorrow' is not a date"),
        (("--from", "2030-01-01"), "does not fit the log"),
    ],
)
def test_what_can_t_be_is_told(shop: Path, given: tuple[str, str], told: str) -> None:
    error = answered("replay", "-w", shop, *given, code=2)["error"]
    assert told in error["message"]
    assert error["hint"]
