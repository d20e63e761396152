"""Ranks, likelihoods and later interests of transitions small enough to check by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.types import RECENT, AsOf, Transitions
from freshet.replay.evaluate import ArmScores, HorizonLabels, evaluate, share_equal
from freshet.replay.frames import JUDGED

DAY = 15_000


def transitions(rows: list[tuple[int, int, list[int], int]], interests: int = 5) -> Transitions:
    """From (user, day, recent, successor); what is recent is known."""
    n = len(rows)
    recent = np.full((n, RECENT), -1, np.int16)
    known = np.zeros((n, interests), bool)
    for i, (_, _, had, _) in enumerate(rows):
        if had:
            recent[i, -len(had) :] = had
        known[i, had] = True
    return Transitions.on_days(
        np.array([row[0] for row in rows], np.uint64),
        np.array([row[1] for row in rows], np.int32),
        recent,
        np.array([row[3] for row in rows], np.int16),
        known,
    )


def judged(test: Transitions, logp: np.ndarray, after: Transitions | None = None, **more: object) -> dict:
    later = HorizonLabels.of(test, after if after is not None else test.take(np.zeros(0, np.int64)), 7)
    popular = np.array([0.1, 0.2, 0.3, 0.3, 0.1])
    at = AsOf.parse("2011-01-26")
    table = evaluate("a", at, at, ArmScores(logp, **more), popular, test, later)  # type: ignore[arg-type]
    assert table.schema == JUDGED
    return table.to_pydict()


def test_ranks_and_likelihoods_by_hand() -> None:
    test = transitions([(1, DAY, [0], 2), (2, DAY, [], 4)])
    logp = np.log([[1.0, 0.5, 0.3, 0.1, 0.1], [0.4, 0.3, 0.1, 0.1, 0.1]])
    logp[0, 0] = -np.inf
    found = judged(test, logp)
    assert found["rank"] == [1, 4]  # the tie of 2, 3 and 4 goes to the popular ones
    assert np.allclose(found["nll"], [-np.log(0.3), -np.log(0.1)])
    assert found["top"] == [[1, 2, 3, 4], [0, 1, 2, 3, 4]]  # what is known is not offered
    assert np.allclose(found["p_top"], [0.5, 0.4])
    assert found["length"] == [1, 0]
    assert found["candidates"] == [4, 5]


def test_a_tie_goes_to_what_is_popular() -> None:
    test = transitions([(1, DAY, [0], 1), (1, DAY, [0], 3)])
    found = judged(test, np.log(np.array([[1e-300, 0.25, 0.25, 0.25, 0.25]] * 2)))
    assert found["rank"] == [2, 1]


def test_any_interest_within_the_horizon_counts() -> None:
    test = transitions([(1, DAY, [], 4), (1, DAY + 6, [4], 3), (2, DAY, [], 0)])
    after = transitions([(1, DAY + 7, [4, 3], 1), (2, DAY + 6, [0], 1)])
    logp = np.log(np.tile([0.1, 0.4, 0.3, 0.15, 0.05], (3, 1)))
    # user 1 takes up 4, then 3 on day 6 (within 7 days), 1 on day 7 (outside, but within 7 of the second)
    assert judged(test, logp, after)["rank_any"] == [2, 0, 0]
    assert judged(test, logp, after)["rank"] == [4, 2, 3]


def test_interests_of_one_step_count_for_each_other() -> None:
    test = transitions([(1, DAY, [0], 1), (1, DAY, [0], 4), (1, DAY, [0, 1, 4], 2)])
    logp = np.log(np.array([[1e-300, 0.1, 0.2, 0.3, 0.4]] * 3))
    assert judged(test, logp)["rank_any"] == [0, 0, 2]  # the third row knew 1 and 4 already


def test_the_planner_alone_stands_beside_the_fused() -> None:
    test = transitions([(1, DAY, [0], 2), (2, DAY, [], 2)])
    fused, planner = np.log(np.full((2, 5), 0.2)), np.log(np.tile([0.05, 0.1, 0.5, 0.3, 0.05], (2, 1)))
    outputs, bare, named = np.array([2, -1]), np.array([3, -1]), np.array([2, -1])
    found = judged(test, fused, planner=planner, outputs=outputs, bare=bare, named=named)
    assert found["planner_rank"] == [0, None]  # nobody asks a planner about a user without interests
    assert np.isclose(found["planner_nll"][0], -np.log(0.5))
    assert [found[name][0] for name in ("planner_top1", "bare_top1", "evidence_top1")] == [2, 3, 2]
    assert found["planner_top1"][1] is None


def test_share_equal_leaves_out_what_says_nothing() -> None:
    assert share_equal(np.array([1, 2, -1, 3]), np.array([1, 0, 1, -1])) == 0.5
    assert share_equal(np.array([-1]), np.array([1])) is None


@given(st.data())
def test_later_interests_equal_a_plain_loop(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 12))
    draw = st.tuples(st.integers(1, 3), st.integers(0, 9), st.integers(0, 4))
    drawn = data.draw(st.lists(draw, min_size=size, max_size=size))
    rows = sorted({(day, user, successor) for user, day, successor in drawn})
    edge = data.draw(st.integers(0, 9))
    parts = [
        transitions(
            [(user, DAY + day, [], successor) for day, user, successor in rows if (day < edge) == early]
        )
        for early in (True, False)
    ]
    test, after = parts
    if not len(test):
        return
    found = HorizonLabels.of(test, after, 4).taken
    everything = Transitions.concatenate(parts)
    for row in range(len(test)):
        same = (everything.user == test.user[row]) & (everything.day >= test.day[row])
        same &= everything.day < test.day[row] + 4
        assert set(np.flatnonzero(found[row])) == set(everything.successor[same].tolist())


@pytest.mark.parametrize("users", [1, 50])
def test_no_transition_is_no_row(users: int) -> None:
    test = transitions([(users, DAY, [], 0)]).take(np.zeros(0, np.int64))
    assert judged(test, np.zeros((0, 5)))["rank"] == []
