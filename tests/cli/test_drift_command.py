"""`freshet drift` as its user meets it."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.cli.conftest import answered, called, make_workspace

FAST = ("--every", "14d", "--permutations", "20", "--min-support", "3")


@pytest.fixture(scope="session")
def drifted(place: Path) -> tuple[Path, dict]:
    """A workspace nobody ever ran anything in, and what its drift is."""
    root = make_workspace(place / "drifted", "counts")
    return root, answered("drift", "-w", root, *FAST)


def test_overlap_stands_beside_its_null(drifted: tuple[Path, dict]) -> None:
    drift, log = drifted[1]["drift"], drifted[1]["log"]
    assert 0 <= drift["low"] <= drift["null"] <= drift["high"] <= 1
    assert {"jaccard", "z", "n"} <= set(drift)
    assert log["windows"] - 1 == len(drift["last"]["windows"]) >= 2  # neighbours are compared
    assert log["permutations"] == 20


def test_it_leaves_json_parquet_and_a_page(drifted: tuple[Path, dict]) -> None:
    root, found = drifted
    assert json.loads((root / "drift/drift.json").read_text())["drift"] == found["drift"]
    rows = pq.read_table(root / "drift/drift.parquet").to_pylist()
    windows = [row for row in rows if (row["context"], row["figure"]) == ("last", "windows")]
    assert [row["jaccard"] for row in windows] == [w["jaccard"] for w in found["drift"]["last"]["windows"]]
    assert found["page"] == str(root / "drift/drift.html")
    assert found["answer"][0] in (root / "drift/drift.html").read_text()


def test_people_get_the_answer_first(drifted: tuple[Path, dict]) -> None:
    done = called("drift", "-w", drifted[0], *FAST)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(drifted[1]["answer"][0][:40])


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--every", "40d"), "does not hold two windows"),
        (("--every", "soon"), "'soon' is no number of days"),
        (("--from", "tomorrow"), "--from 'tomorrow' is not a date"),
    ],
)
def test_what_can_t_be_is_told(shop: Path, given: tuple[str, str], told: str) -> None:
    error = answered("drift", "-w", shop, *given, code=2)["error"]
    assert told in error["message"]
    assert error["hint"]
