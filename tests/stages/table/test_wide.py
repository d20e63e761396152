"""A wide table has rows for the busiest contexts alone, answers all others, and is checked as any."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.types import Sums
from freshet.stages import table
from freshet.stages.table.build import best_of
from freshet.stages.table.contexts import CELLS, busiest, is_wide, rows_at_most
from freshet.stages.table.verify import COVERED
from tests.stages.table.worlds import rules, score

N = 6
PAIRS = np.array([[4, 1], [0, 1], [2, 5]], np.int16)
TRIPLES = np.array([[2, 4, 1], [0, 4, 1]], np.int16)


def wide(folder: Path, k: int = 2) -> tuple[table.Table, np.ndarray]:
    folder.mkdir(parents=True, exist_ok=True)
    contexts = table.enumerate_contexts(N, k, TRIPLES if k == 3 else None, PAIRS)
    table.build(contexts, score, rules(N), 4, folder)
    return table.Table(folder, N), contexts


@pytest.mark.parametrize("k", [2, 3])
def test_listed_contexts_have_the_rows_that_a_whole_table_gives_them(tmp_path: Path, k: int) -> None:
    made, contexts = wide(tmp_path / "wide", k)
    (tmp_path / "whole").mkdir()
    table.build(table.enumerate_contexts(N, k, TRIPLES), score, rules(N), 4, tmp_path / "whole")
    whole = table.Table(tmp_path / "whole", N)
    assert len(made) == 1 + N + len(PAIRS) + (len(TRIPLES) if k == 3 else 0)
    for number, row in enumerate(contexts.tolist()):
        context = tuple(i for i in row if i >= 0)
        assert made.row_number(context) == number
        for name in ("successors", "count", "fused", "planner"):
            assert np.array_equal(getattr(made.look_up(context), name), getattr(whole.look_up(context), name))
    assert np.array_equal(made.row_numbers(contexts), np.arange(len(contexts)))


def test_others_are_answered_by_their_last_interest(tmp_path: Path) -> None:
    made, _ = wide(tmp_path)
    assert made.row_number((1, 4)) is None
    assert made.row_number((5, 4)) is None  # behind the last one listed
    assert made.look_up((1, 4)).answered == (4,)
    assert 1 not in made.look_up((1, 4)).successors
    assert made.answered((1, 4)) == 1
    assert made.answered((4, 1)) == 2
    assert made.row_numbers(np.array([[1, 4], [2, 5]], np.int16)).tolist() == [-1, len(made) - 2]


@settings(deadline=None, max_examples=60)
@given(context=st.lists(st.integers(-1, N + 1), max_size=3).map(tuple))
def test_no_look_up_is_empty(context: tuple[int, ...], tmp_path_factory: pytest.TempPathFactory) -> None:
    made, _ = wide(tmp_path_factory.mktemp("wide"))
    row = made.look_up(context)
    assert len(row.successors)
    assert not set(row.successors.tolist()) & set(context)


def test_a_table_without_any_pair_answers(tmp_path: Path) -> None:
    contexts = table.enumerate_contexts(N, 2, pairs=np.zeros((0, 2), np.int16))
    table.build(contexts, score, rules(N), 4, tmp_path)
    made = table.Table(tmp_path, N)
    assert made.look_up((0, 1)).answered == (1,)
    assert all(check.passed for check in table.verify(made, contexts, rules(N)))


def test_the_checks_find_what_is_wrong_in_any_block(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(table.verify.__globals__, "BLOCK_CELLS", 2 * N)  # two rows at a time
    made, contexts = wide(tmp_path)
    assert all(check.passed for check in table.verify(made, contexts, rules(N)))
    successors = np.array(made.successors)
    successors[8, 0] = N  # no interest; of the pair (2, 5)
    np.save(tmp_path / "successors.npy", successors)
    failed = [c for c in table.verify(table.Table(tmp_path, N), contexts, rules(N)) if not c.passed]
    assert failed[0].name == "every id is a known interest"
    assert "1 violations, first in context (2, 5)" in failed[0].seen
    other = table.enumerate_contexts(N, 2, pairs=PAIRS[:2])
    [check] = table.verify(made, other, rules(N))
    assert (check.name, check.passed) == (COVERED, False)


def sums(contexts: list[list[int]], weights: list[float]) -> Sums:
    """Each context with one successor."""
    return Sums(np.array(contexts, np.int16), np.zeros(len(contexts), np.int16), np.array(weights))


def test_the_busiest_contexts_are_listed_with_what_they_fall_back_to() -> None:
    pairs = sums([[0, 1], [2, 1], [3, 1]], [1.0, 5.0, 2.0])
    triples = sums([[0, 2, 1], [3, 2, 1], [4, 3, 1]], [4.0, 1.0, 2.0])
    found = [part.tolist() for part in busiest([pairs, triples], 4)]
    assert found == [[[2, 1], [3, 1]], [[0, 2, 1], [4, 3, 1]]]
    # of equal weights the pair comes first: what the triple falls back to has a row
    assert [part.tolist() for part in busiest([pairs, triples], 3)] == [[[2, 1], [3, 1]], [[0, 2, 1]]]
    assert [part.tolist() for part in busiest([pairs, triples], 100)] == [
        pairs.contexts.tolist(),
        triples.contexts.tolist(),
    ]
    assert [len(part) for part in busiest([pairs, triples], 0)] == [0, 0]


def test_how_many_rows_there_may_be() -> None:
    assert not is_wide(812, 2, rows_at_most(812, "auto"))
    assert is_wide(813, 2, rows_at_most(813, "auto"))
    assert not is_wide(30_000, 1, rows_at_most(30_000, "auto"))
    assert rows_at_most(5000, "auto") == CELLS // 5000 == 107_374
    assert rows_at_most(5000, 10) == 5001  # single interests have a row in any case


@settings(deadline=None, max_examples=100)
@given(
    values=st.lists(
        st.lists(st.sampled_from([-np.inf, 0.0, 1.0, 2.0, 3.0]), min_size=40, max_size=40), max_size=6
    ),
    width=st.integers(1, 12),
)
def test_the_best_of_many_are_those_of_a_whole_sort(values: list[list[float]], width: int) -> None:
    scores = np.array(values).reshape(len(values), 40)
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :width]
    assert np.array_equal(best_of(scores, width), expected)
