"""What reactions are worth beside the score."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from freshet.errors import NotEnoughData
from freshet.feedback import Settings, weigh, weighing
from tests.feedback.worlds import SIZE, drawn, some_lift

SETTINGS = Settings(k=2, proposals=3)


def test_lifts_that_are_there_pay() -> None:
    found = weigh(drawn(30_000, some_lift(0.8)), SETTINGS)
    assert found.feedback is not None
    lift = found.fitted.as_dict()["lift"]
    assert lift["low"] > 0
    assert found.gain[2] < 0
    # a nat of score is worth half a nat of odds here; lifts are of rates
    assert found.feedback.weight == pytest.approx(lift["weight"] / found.fitted.as_dict()["score"]["weight"])
    assert found.fitted.as_dict()["score"]["weight"] == pytest.approx(0.5, abs=0.1)


def test_where_there_are_none_feedback_hardly_ever_pays() -> None:
    paid = [weigh(drawn(3_000, np.zeros((SIZE, SIZE)), seed), SETTINGS).feedback for seed in range(40)]
    assert sum(one is not None for one in paid) <= 4, "a 95 % interval errs upwards once in forty"


def test_a_score_of_no_use_bounds_the_weight() -> None:
    found = weigh(drawn(30_000, some_lift(0.8), slope=0.0), SETTINGS)
    assert found.feedback is not None
    assert 0 < found.feedback.weight <= found.fitted.as_dict()["lift"]["weight"] / 0.1 + 1e-9


def test_too_few_are_refused() -> None:
    rows = drawn(300, some_lift(0.8))
    with pytest.raises(NotEnoughData, match="300 outcomes"):
        weigh(replace(rows, reward=np.zeros(300, bool)), SETTINGS)
    with pytest.raises(NotEnoughData, match="0 outcomes"):
        weigh(rows.take(slice(0, 0)), SETTINGS)


def test_what_is_judged_does_not_choose_its_pseudo_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = drawn(6_000, some_lift(0.8))
    seen: list[list[tuple[float, ...]]] = []
    judge = weighing._judge

    def noted(origins: list[weighing.Origin], strengths: list[tuple[float, ...]]):
        seen.append(strengths)
        return judge(origins, strengths)

    monkeypatch.setattr(weighing, "_judge", noted)
    for late in (6_000, 5_000, 4_000):
        changed = np.where(rows.time >= late * 1_000_000, ~rows.reward, rows.reward)
        weigh(replace(rows, reward=changed), SETTINGS)
    assert seen[0] == seen[1], "the last block"
    assert seen[0][:-1] == seen[2][:-1]
    assert len(seen[0]) == weighing.BLOCKS - 2
