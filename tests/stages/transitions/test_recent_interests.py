"""Recent interests of everybody at a moment are those that transitions of that moment were counted with."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from freshet.core.config import TransitionsConfig
from freshet.core.types import RECENT, AsOf
from freshet.stages.transitions import TransitionLog
from freshet.stages.transitions.day_files import ENGAGEMENT
from freshet.stages.transitions.recent_interests import recent_interests
from tests.stages.transitions.reference import DAY
from tests.stages.transitions.test_counting import INTERESTS, run


@pytest.mark.parametrize("novelty", [5, "ever"])
@pytest.mark.parametrize("seed", [0, 7])
def test_equals_what_transitions_were_counted_with(
    tmp_path: Path, novelty: int | Literal["ever"], seed: int
) -> None:
    """Steps at midnights, so that each transition is at a moment that can be asked about."""
    rng = np.random.default_rng(3)
    events = {
        (f"u{rng.integers(6)}", int(rng.integers(1, 25)) * DAY, int(rng.integers(INTERESTS)))
        for _ in range(90)
    }
    artifact = run(tmp_path, "counted", events, TransitionsConfig(novelty_days=novelty, seed=seed), None)
    log = TransitionLog(artifact, tmp_path / "pool", INTERESTS)
    counted = log.between(AsOf.parse("1970-01-01"), AsOf.parse("1970-03-01"))
    assert len(counted) > 20
    compared = 0
    for day in np.unique(counted.day).tolist():
        moment = AsOf.from_day_number(day)
        found = log.recent_at(moment, None if novelty == "ever" else novelty, seed)
        assert (np.diff(found.user.astype(object)) > 0).all()
        rows = counted.take(counted.day == day)
        for user, recent in zip(rows.user, rows.recent, strict=True):
            [place] = np.flatnonzero(found.user == user).tolist() or [-1]
            if place < 0:
                assert (recent < 0).all()
            else:
                assert found.recent[place].tolist() == recent.tolist()
                compared += 1
    assert compared > 15


def test_recency_and_activity(tmp_path: Path) -> None:
    events = {("ann", 1 * DAY, 0), ("ann", 2 * DAY, 1), ("ann", 2 * DAY, 0), ("bo", 3 * DAY, 2)}
    artifact = run(tmp_path, "counted", events, TransitionsConfig(novelty_days=30), None)
    log = TransitionLog(artifact, tmp_path / "pool", INTERESTS)
    found = log.recent_at(AsOf.parse("1970-01-05"), 30, 0)
    by_engaged = {int(often): row for row, often in enumerate(found.engaged)}
    assert found.days_ago[by_engaged[3]] == 2.0
    assert found.days_ago[by_engaged[1]] == 1.0
    assert sorted(i for i in found.recent[by_engaged[3]].tolist() if i >= 0) == [0, 1]
    assert len(log.recent_at(AsOf.parse("1970-01-03"), 30, 0)) == 1  # Bo came on the 4th
    assert len(log.recent_at(AsOf.parse("1970-01-01"), 30, 0)) == 0
    kept = found.take(found.days_ago < 1.5)
    assert kept.engaged.tolist() == [1]


def test_the_last_ten_are_kept() -> None:
    rows = np.empty(30, ENGAGEMENT)
    rows["user"], rows["time"] = np.repeat([7, 3], 15), np.tile(np.arange(15), 2) * DAY
    rows["interest"] = [*range(15), *([4, 2] * 7), 9]
    found = recent_interests(rows, AsOf.from_day_number(15), 0)
    assert found.user.tolist() == [3, 7]
    assert found.recent.shape == (2, RECENT)
    assert found.recent[0].tolist() == [-1] * 7 + [4, 2, 9]
    assert found.recent[1].tolist() == list(range(5, 15))
    assert found.engaged.tolist() == [15, 15]
