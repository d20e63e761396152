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

from tests.cli.conftest import answered, called, freshet, make_workspace

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


SHARES = (2, 30, 100)
SOURCES = ("hybrid", "counts", "popularity")
SHORT = ("--arms", ",".join(SOURCES), "--from", "2024-02-10", "--to", "2024-02-16", "--every", "2d")
SHORT_FOLDER = "replay/2024-02-10_2024-02-16_2d"


@pytest.fixture(scope="session")
def shares(place: Path) -> tuple[Path, dict]:
    """A replay by shares of the users, as a process of its own."""
    root = make_workspace(place / "shares", "fake", MORE)
    return root, answered("replay", "-w", root, "--shares", "30,2,100", *SHORT, run=freshet)


def test_every_share_has_figures_differences_and_what_was_learned_from(shares: tuple[Path, dict]) -> None:
    found = shares[1]["shares"]
    assert list(found) == ["2", "30", "100"]
    users = []
    for share in found.values():
        for arm in SOURCES:
            for figure in ("hit_at_5", "nll"):
                low, high = share[arm][figure]["ci95"]
                assert low <= share[arm][figure]["value"] <= high
        for pair in ("hybrid_vs_counts", "counts_vs_popularity"):
            low, high = share["differences"][pair]["nll"]["ci95"]
            assert low <= share["differences"][pair]["nll"]["value"] <= high
        users.append(share["learned"]["users"])
        assert share["learned"]["transitions"] > users[-1]
    assert users == sorted(users)
    assert 0 < users[0] < 20 < users[1] < users[2]
    # so few users that nothing can be fitted are told, and are not an error
    assert "popularity alone" in found["2"]["learned"]["unfitted"]
    assert not found["100"]["learned"]["unfitted"]
    assert found["2"]["counts"]["nll"]["value"] > found["100"]["counts"]["nll"]["value"]


def test_shares_are_said_in_words_with_sizes(shares: tuple[Path, dict]) -> None:
    told = shares[1]["recommendation"]
    assert {source["name"] for source in told["shares"]["sources"]} == {"counts", "content", "planner"}
    for source in told["shares"]["sources"]:
        assert source["text"] in told["text"]
        assert (
            f"about {shares[1]['shares']['2']['learned']['users']} users nothing can be fitted"
            in source["text"]
        )
    assert f"The same {shares[1]['log']['n']:,} transitions" in told["text"]


def test_each_share_has_a_folder_and_all_of_the_users_are_a_plain_replay(shares: tuple[Path, dict]) -> None:
    root, found = shares
    folder = root / f"{SHORT_FOLDER}_shares"
    judged = {
        percent: pq.read_table(folder / "shares" / str(percent) / "judged.parquet") for percent in SHARES
    }
    same = ["arm", "origin", "row", "user", "day", "successor", "recent", "candidates"]
    assert all(one.select(same).equals(judged[100].select(same)) for one in judged.values())
    assert not judged[2].equals(judged[100])
    plain = answered("replay", "-w", root, *SHORT)
    assert pq.read_table(root / SHORT_FOLDER / "judged.parquet").equals(judged[100])
    for part in ("arms", "differences", "groups"):
        assert found[part] == plain[part]
    assert (folder / "replay.html").read_text().count("users learned from") > 1


def test_differences_are_told_within_groups(replayed: tuple[Path, dict]) -> None:
    root, found = replayed
    known = pq.read_table(root / FOLDER / "circumstances.parquet")
    for division in ("by_support", "by_item_age", "by_user_age"):
        lines = found["differences"]["hybrid_vs_counts"][division]
        assert sum(line["n"] for line in lines.values()) == len(known) == found["log"]["n"]
        assert lines.keys() == found["groups"][division].keys()
    cold = found["groups"]["by_support"]["1-9"]["n"]
    assert cold == pc.sum(pc.and_(pc.greater(known["support"], 0), pc.less(known["support"], 10))).as_py()


def test_people_see_a_line_for_every_share(shares: tuple[Path, dict]) -> None:
    root, found = shares
    done = called("replay", "-w", root, "--shares", "2,30,100", *SHORT)
    assert done.returncode == 0, done.stderr
    lines = done.stdout[done.stdout.index("by users learned from") :].splitlines()
    for percent, line in zip(SHARES, lines[2:], strict=False):
        assert line.split()[:3] == [str(percent), "%", f"{found['shares'][str(percent)]['learned']['users']}"]
    assert "learning from 30 % of the users (2 of 3)" in done.stderr


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--arms", "hybird"), "no arm 'hybird'"),
        (("--shares", "10,0"), "'0' is no share of the users"),
        (("--shares", "many"), "'many' is no share of the users"),
        (("--shares", "101"), "'101' is no share of the users"),
        (("--every", "soon"), "'soon' is no number of days"),
        (("--from", "tomorrow"), "--from 'tomorrow' is not a date"),
        (("--from", "2030-01-01"), "does not fit the log"),
    ],
)
def test_what_can_t_be_is_told(shop: Path, given: tuple[str, str], told: str) -> None:
    error = answered("replay", "-w", shop, *given, code=2)["error"]
    assert told in error["message"]
    assert error["hint"]
