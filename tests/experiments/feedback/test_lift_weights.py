"""What reactions are worth beside the score."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from freshet.core.errors import NotEnoughData
from freshet.experiments.feedback import lift_weights
from freshet.experiments.feedback.lift_weights import Settings, calibrate
from tests.experiments.feedback.worlds import SIZE, drawn, some_lift

SETTINGS = Settings(k=2, proposals=3)


def test_lifts_that_are_there_pay() -> None:
    found = calibrate(drawn(30_000, some_lift(0.8)), SETTINGS)
    assert found.feedback is not None
    lift = found.fitted.as_dict()["lift"]
    assert lift["low"] > 0
    assert found.gain[2] < 0
    assert found.feedback.lift == pytest.approx(lift["weight"], rel=0.05)
    assert found.fitted.as_dict()["score"]["weight"] == pytest.approx(0.5, abs=0.1)


def test_where_there_are_none_feedback_hardly_ever_pays() -> None:
    nothing = np.zeros((SIZE, SIZE))
    paid = [calibrate(drawn(3_000, nothing, seed, appeal=0.0), SETTINGS).feedback for seed in range(40)]
    assert sum(one is not None for one in paid) <= 5, "each of two intervals errs upwards once in forty"


def test_successors_that_are_taken_well_anywhere_are_told_apart_from_lifts() -> None:
    found = calibrate(drawn(30_000, np.zeros((SIZE, SIZE))), SETTINGS)
    assert found.feedback is not None
    assert found.feedback.own > 0.5
    assert found.feedback.lift == 0
    assert found.fitted.as_dict()["lift"]["low"] <= 0 < found.fitted.as_dict()["own"]["low"]


def test_too_few_are_refused() -> None:
    rows = drawn(300, some_lift(0.8))
    with pytest.raises(NotEnoughData, match="300 outcomes"):
        calibrate(replace(rows, reward=np.zeros(300, bool)), SETTINGS)
    with pytest.raises(NotEnoughData, match="0 outcomes"):
        calibrate(rows.take(slice(0, 0)), SETTINGS)


def test_what_is_predicted_does_not_choose_its_pseudo_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = drawn(6_000, some_lift(0.8))
    seen: list[list[tuple[float, ...]]] = []
    predict = lift_weights._later_outcomes

    def noted(origins: list[lift_weights.Origin], prior_counts: list[tuple[float, ...]]):
        seen.append(prior_counts)
        return predict(origins, prior_counts)

    monkeypatch.setattr(lift_weights, "_later_outcomes", noted)
    for late in (6_000, 5_000, 4_000):
        changed = np.where(rows.time >= late * 1_000_000, ~rows.reward, rows.reward)
        calibrate(replace(rows, reward=changed), SETTINGS)
    assert seen[0] == seen[1], "the last block"
    assert seen[0][:-1] == seen[2][:-1]
    assert len(seen[0]) == lift_weights.BLOCKS - 2
