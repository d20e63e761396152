"""The counts behind evidence: one user is one voice, however busy. And how much a log knows of its users."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from freshet.core.config import TransitionsConfig
from freshet.core.types import AsOf
from freshet.core.user_numbers import keys
from freshet.stages.transitions import TransitionLog
from tests.stages.transitions.reference import DAY
from tests.stages.transitions.test_counting import run


@pytest.fixture
def log(tmp_path: Path) -> TransitionLog:
    """Ann takes up 1, 2, 3 and 4 after 0, each twice; Bo and Cy take up 1 once."""
    events = {(who, day * DAY, 0) for who in ("ann", "bo", "cy") for day in (1, 101, 201, 301, 401)}
    events |= {("ann", (100 * i + 2) * DAY, i) for i in (1, 2, 3, 4)}
    events |= {("ann", (100 * i + 42) * DAY, 0) for i in (1, 2)}
    events |= {("bo", 3 * DAY, 1), ("cy", 4 * DAY, 1)}
    artifact = run(tmp_path, "counted", events, TransitionsConfig(novelty_days=30), None)
    return TransitionLog(artifact, tmp_path / "pool", 5)


def after_zero(log: TransitionLog, as_of: str, days: int, cap: int, skip: int = 0) -> dict[int, float]:
    found = log.supports(AsOf.parse(as_of), days, 1, cap, skip)
    pairs = zip(found.contexts.tolist(), found.successor.tolist(), found.weight.tolist(), strict=True)
    return {successor: weight for (context,), successor, weight in pairs if context == 0}


def test_one_user_counts_up_to_the_cap(log: TransitionLog) -> None:
    everything = after_zero(log, "1972-01-01", 730, 100)
    assert everything == pytest.approx({1: 3.0, 2: 1.0, 3: 1.0, 4: 1.0})
    for cap in (1, 2, 3):
        capped = after_zero(log, "1972-01-01", 730, cap)
        assert sum(capped.values()) == pytest.approx(cap + 2)  # Ann counts `cap` in all, Bo and Cy once
        assert capped[1] > capped[2]


def test_a_window_ends_before_its_moment(log: TransitionLog) -> None:
    assert after_zero(log, "1970-01-04", 10, 2) == {}  # Bo came on the 4th
    assert after_zero(log, "1970-01-05", 10, 2) == {1: 1.0}
    assert after_zero(log, "1970-01-06", 10, 2) == {1: 2.0}
    assert after_zero(log, "1970-01-06", 1, 2) == {1: 1.0}
    assert after_zero(log, "1970-01-07", 1, 2, skip=1) == {1: 1.0}


def test_users_before_a_moment_are_counted_once(log: TransitionLog) -> None:
    found = [log.users(AsOf.parse(day)) for day in ("1970-01-01", "1970-01-03", "1970-01-05", "1972-01-01")]
    assert found == [0, 3, 3, 3]


def test_engagements_before_a_moment_are_those_strictly_before_it(log: TransitionLog) -> None:
    who = keys(pa.chunked_array([["bo", "nobody", "ann", "bo", "bo", "ann"]]))
    times = np.array([3 * DAY, 900 * DAY, 900 * DAY, 3 * DAY + 1, 0, 102 * DAY])
    # Bo: days 1 and 3 (to the moment); Ann: five times 0, four successors, 0 again twice; 1, 101 before day 102
    assert log.engaged_before(who, times).tolist() == [1, 0, 11, 2, 0, 2]
    assert log.engaged_before(who[:0], times[:0]).tolist() == []
