"""The best of n proposals, and feedback on disk."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freshet.experiments.feedback.format import MOST, Feedback, read_feedback, write_feedback
from freshet.experiments.feedback.lifts import Lifts, learn
from tests.experiments.feedback.worlds import SIZE, Row, contexts, drawn, outcomes, rows_of, some_lift

scores_of = st.lists(st.one_of(st.floats(-9, 0), st.just(-math.inf)), min_size=SIZE, max_size=SIZE).map(
    np.array
)
NOTHING = Lifts(np.zeros(0, np.int64), np.zeros(0), 2)


@given(scores_of, contexts)
def test_without_feedback_nothing_changes(scores: np.ndarray, context: tuple[int, int]) -> None:
    made = Feedback(NOTHING, 1.0, 2.0, 3)
    assert not made.bonus(scores, np.array(context, np.int16)).any()


@given(rows_of, scores_of, contexts, st.floats(0, 50), st.floats(0, 50), st.integers(1, 8))
def test_the_bonus_is_the_bounded_lift_of_the_first_proposals(
    rows: list[Row], scores: np.ndarray, context: tuple[int, int], own: float, lift: float, proposals: int
) -> None:
    lifts = learn(outcomes(rows), (1.0, 1.0, 1.0))
    bonus = Feedback(lifts, own, lift, proposals).bonus(scores, np.array(context, np.int16))
    everything = np.arange(SIZE, dtype=np.int16)
    all_lifts = lifts.of(np.array([context] * SIZE, np.int16), everything)
    total = own * lifts.own(everything) + lift * all_lifts
    expected = np.clip(total, -math.log(MOST), math.log(MOST))
    order = np.argsort(-scores, kind="stable")
    first = [place for place in order[:proposals] if scores[place] > -math.inf]
    assert np.allclose(bonus[first], expected[first])
    assert not np.delete(bonus, first).any()


def test_what_was_liked_after_the_context_comes_first() -> None:
    rows: list[Row] = [((-1, 0), 1, 0, i < 5) for i in range(100)] + [
        ((-1, 0), 2, 0, i < 60) for i in range(100)
    ]
    rows += [((-1, 3), shown, 0, i < 30) for shown in (1, 2) for i in range(100)]
    made = Feedback(learn(outcomes(rows), (10.0, 10.0, 10.0)), 0.0, 1.0, 2)
    scores = np.log(np.array([0.01, 0.4, 0.3, 0.2, 0.05, 0.04]))
    changed = scores + made.bonus(scores, np.array([-1, 0], np.int16))
    assert changed.argmax() == 2
    assert (scores + made.bonus(scores, np.array([-1, 3], np.int16))).argmax() == 1


def test_what_is_read_is_what_was_written(tmp_path: Path) -> None:
    made = Feedback(learn(drawn(500, some_lift(0.5)), (3.0, 3.0, 3.0)), 0.2, 0.7, 4)
    for folder, one in ((tmp_path / "a", made), (tmp_path / "b", None)):
        folder.mkdir()
        write_feedback(one, folder)
    read = read_feedback(tmp_path / "a")
    assert read is not None
    assert (read.own, read.lift, read.proposals, read.lifts.k) == (0.2, 0.7, 4, 2)
    assert np.array_equal(read.lifts.keys, made.lifts.keys)
    assert np.array_equal(read.lifts.values, made.lifts.values)
    assert read_feedback(tmp_path / "b") is None
