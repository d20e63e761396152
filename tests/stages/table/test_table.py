"""Rows are found by arithmetic, look-ups always answer, and rules hold in every row."""

from __future__ import annotations

import tempfile
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.errors import ConfigError
from freshet.core.types import Eligibility
from freshet.stages import table
from freshet.stages.table.contexts import dense_row
from tests.stages.table.worlds import TRIPLES, build, interests, rules, score

N = 5


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("size", [2, 3, 7])
def test_row_numbers_agree_with_the_list_of_contexts(k: int, size: int) -> None:
    listed = table.enumerate_contexts(size, k)
    contexts = [tuple(i for i in row if i >= 0) for row in listed.tolist()]
    wanted = [c for length in range(min(k, 2) + 1) for c in permutations(range(size), length)]
    assert contexts == wanted
    assert [dense_row(context, size) for context in contexts] == list(range(len(contexts)))
    assert listed.dtype == np.int16
    assert listed.shape == (len(wanted), k)


def test_triples_follow_sorted_and_once(tmp_path: Path) -> None:
    made, contexts, _ = build(tmp_path, N, 3)
    assert contexts[-2:].tolist() == [[0, 1, 2], [2, 1, 0]]
    assert made.row_number((2, 1, 0)) == len(contexts) - 1
    assert made.row_number((0, 2, 1)) is None
    for number, row in enumerate(contexts.tolist()):
        assert made.row_number(tuple(i for i in row if i >= 0)) == number


@pytest.mark.parametrize("k", [1, 2, 3])
def test_rows_hold_the_best_candidates_in_order(tmp_path: Path, k: int) -> None:
    made, contexts, eligible = build(tmp_path, N, k, width=3)
    excluded = eligible.excluded(contexts)
    scores = score(contexts, excluded)
    for number in range(len(contexts)):
        context = tuple(int(i) for i in contexts[number] if i >= 0)
        candidates = [i for i in range(N) if not excluded[number, i]]
        best = sorted(candidates, key=lambda i: (-scores.fused[number, i], i))[:3]
        row = made.look_up(context)
        assert row.successors.tolist() == best
        assert row.answered == context
        np.testing.assert_allclose(row.fused, scores.fused[number, best], rtol=1e-6)
        np.testing.assert_allclose(row.count, scores.count[number, best], rtol=1e-6)
        assert scores.planner is not None
        np.testing.assert_allclose(row.planner, scores.planner[number, best], rtol=1e-6)


@settings(deadline=None, max_examples=40)
@given(
    k=st.integers(1, 3),
    context=st.lists(st.integers(-1, N + 1), max_size=4).map(tuple),
    blocked=st.frozensets(st.integers(0, N - 1), max_size=N - 4),
)
def test_look_ups_always_answer_and_never_offer_what_was_asked(
    k: int, context: tuple[int, ...], blocked: frozenset[int]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        eligible = rules(N, blocked=tuple(f"name {i}" for i in blocked))
        made, _, _ = build(Path(folder), N, k, eligible=eligible)
        row = made.look_up(context)
        left = set(range(N)) - blocked - set(context)
        if left:
            assert len(row.successors)
        assert not set(row.successors.tolist()) & (blocked | set(context))
        assert row.answered == context[len(context) - len(row.answered) :]


def test_the_chain_of_answers(tmp_path: Path) -> None:
    made, _, _ = build(tmp_path / "all", N, 3)
    assert made.look_up((2, 1, 0)).answered == (2, 1, 0)
    assert made.look_up((3, 1, 0)).answered == (1, 0)
    assert 3 not in made.look_up((3, 1, 0)).successors
    assert made.look_up((N + 4,)).answered == ()
    assert made.look_up((1, N + 4)).answered == ()
    # only 0 may be offered: rows of contexts that hold it are empty, shorter ones answer where they can
    only, _, _ = build(tmp_path / "one", N, 2, eligible=rules(N, allowed=("name 0",)))
    assert only.look_up((1, 2)).successors.tolist() == [0]
    assert only.look_up((0, 1)).successors.tolist() == []


def test_rules_hold_in_every_row(tmp_path: Path) -> None:
    eligible = rules(N, blocked=("name 0",), withdrawn=("101",), sensitive=("name 2", "103"))
    made, contexts, _ = build(tmp_path, N, 2, eligible=eligible)
    assert eligible.ineligible() == {0, 1, 2, 3}
    for number, row in enumerate(contexts.tolist()):
        offered = {int(i) for i in made.successors[number] if i >= 0}
        own = {i for i in row if i >= 0}
        allowed = {2, 3, 4} if own & {2, 3} else {4}
        assert offered == allowed - own
    only = rules(N, allowed=("name 1", "102"), blocked=("name 1",))
    assert np.flatnonzero(~only.never).tolist() == [2]


@pytest.mark.parametrize("rule", ["blocked", "allowed", "withdrawn", "sensitive"])
def test_a_rule_about_an_unknown_interest_is_refused(rule: str) -> None:
    with pytest.raises(ConfigError, match=rf"\[table\] {rule}: there is no interest 'nothing'"):
        rules(N, **{rule: ("name 1", "nothing")})


def test_no_rules_bar_nothing() -> None:
    none = table.Rules.resolve(Eligibility(), interests(N))
    assert not none.excluded(np.full((1, 2), -1, np.int16)).any()
    assert none.ineligible() == frozenset()
    own = none.excluded(TRIPLES)
    assert [np.flatnonzero(row).tolist() for row in own] == [[0, 1, 2]] * 3


def test_churn_of_known_rows() -> None:
    a = np.array(
        [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5, 6], [1, 2, -1, -1, -1, -1], [-1] * 6, [1, 2, 3, 4, 5, 6]]
    )
    b = np.array(
        [[5, 4, 3, 2, 1, 9], [6, 7, 8, 9, 10, 1], [2, 3, -1, -1, -1, -1], [-1] * 6, [1, 2, 3, 4, 9, 5]]
    )
    np.testing.assert_allclose(table.churn(a, b), [0, 1, 1 - 1 / 3, 0, 1 - 4 / 6])
    np.testing.assert_allclose(table.churn(a, b, top=6)[:2], [1 - 5 / 7, 1 - 2 / 10])


@given(st.data())
def test_churn_is_a_symmetric_share(data: st.DataObject) -> None:
    rows = st.permutations(range(8)).map(lambda row: row[:6])
    a, b = (np.array([data.draw(rows)], np.int64) for _ in range(2))
    assert 0 <= table.churn(a, b)[0] <= 1
    np.testing.assert_array_equal(table.churn(a, b), table.churn(b, a))
    np.testing.assert_array_equal(table.churn(a, a), 0)
