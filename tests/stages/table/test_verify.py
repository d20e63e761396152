"""Every planted violation is caught by its check, and a sound table passes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from freshet.stages import table
from tests.stages.table.worlds import build, rules

N = 6


def failed(folder: Path, k: int = 2, eligible: table.Rules | None = None) -> set[str]:
    """Names of the checks that fail for the files in a folder."""
    contexts = np.load(folder / "expected.npy")
    return {
        c.name for c in table.verify(table.Table(folder, N), contexts, eligible or rules(N)) if not c.passed
    }


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    _, contexts, _ = build(tmp_path, N, 2, width=4)
    np.save(tmp_path / "expected.npy", contexts)
    return tmp_path


def edit(folder: Path, name: str, row: int, column: int, value: float) -> None:
    array = np.load(folder / f"{name}.npy")
    array[row, column] = value
    np.save(folder / f"{name}.npy", array)


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("width", [1, 4, 64])
def test_a_sound_table_passes(tmp_path: Path, k: int, width: int) -> None:
    for name, eligible in (
        ("free", rules(N)),
        ("ruled", rules(N, blocked=("name 1",), sensitive=("name 2",))),
        ("one", rules(N, allowed=("name 3",))),
    ):
        made, contexts, _ = build(tmp_path / name, N, k, width, eligible)
        checks = table.verify(made, contexts, eligible)
        assert [c for c in checks if not c.passed] == []
        assert len(checks) == 7


@pytest.mark.parametrize("value", [N, 32000, -2])
def test_ids_that_are_no_interest(folder: Path, value: int) -> None:
    edit(folder, "successors", 9, 1, value)
    assert "every id is a known interest" in failed(folder)


def test_an_interest_of_the_context_itself(folder: Path) -> None:
    edit(folder, "successors", 1 + 2, 0, 2)  # the row of (2,)
    assert "no row offers an excluded interest" in failed(folder)


def test_an_interest_the_rules_exclude(folder: Path) -> None:
    assert "no row offers an excluded interest" in failed(folder, eligible=rules(N, blocked=("name 3",)))
    assert "no row offers an excluded interest" in failed(folder, eligible=rules(N, sensitive=("name 3",)))


def test_the_same_interest_twice(folder: Path) -> None:
    successors = np.load(folder / "successors.npy")
    edit(folder, "successors", 0, 2, successors[0, 0])
    assert failed(folder) == {"no row repeats an interest"}


def test_a_row_with_room_left(folder: Path) -> None:
    edit(folder, "successors", 5, 3, -1)
    assert failed(folder) == {"every row is as full as its candidates allow"}


def test_a_hole_within_a_row(folder: Path) -> None:
    edit(folder, "successors", 5, 1, -1)
    assert failed(folder) == {
        "every row is as full as its candidates allow",
        "rows are ranked by fused score",
    }


@pytest.mark.parametrize("name", ["fused", "count"])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_scores_that_are_no_numbers(folder: Path, name: str, value: float) -> None:
    edit(folder, name, 7, 2, value)
    assert "scores are finite where an interest is offered" in failed(folder)


def test_rows_out_of_order(folder: Path) -> None:
    fused = np.load(folder / "fused.npy")
    row = int(np.flatnonzero(fused[:, 0] > fused[:, 1])[0])
    edit(folder, "fused", row, 0, fused[row, 1] - 1)
    assert failed(folder) == {"rows are ranked by fused score"}


def test_contexts_missing_or_moved(folder: Path) -> None:
    expected = np.load(folder / "expected.npy")
    np.save(folder / "expected.npy", np.concatenate([expected, expected[-1:]]))
    assert failed(folder) == {"every context is covered"}
    np.save(folder / "expected.npy", expected[::-1])
    assert failed(folder) == {"every context is covered"}


def test_the_first_violation_is_named(folder: Path) -> None:
    edit(folder, "successors", 1 + 4, 0, 4)
    checks = table.verify(table.Table(folder, N), np.load(folder / "expected.npy"), rules(N))
    (excluded,) = [c for c in checks if c.name == "no row offers an excluded interest"]
    assert excluded.seen == "1 violations, first in context (4,)"
