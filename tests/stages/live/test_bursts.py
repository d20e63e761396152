"""Bursts that are there, and none where nothing has changed."""

from __future__ import annotations

import numpy as np

from freshet.stages.live import Overlay
from tests.stages.live.worlds import DAY, SIZE, START, crowd, fresh, records

HOUR = DAY // 24


def steady(hours: int, per_hour: int, seed: int = 0) -> Overlay:
    """An overlay after as many takings an hour, each of a random interest."""
    random, n = np.random.default_rng(seed), hours * per_hour
    times = START + np.sort(random.integers(0, hours * HOUR, n))
    overlay = fresh()
    overlay.apply(
        records([(int(t), i, -1, int(random.integers(SIZE))) for i, t in enumerate(times.tolist())])
    )
    return overlay


def test_a_crowd_on_a_quiet_day_is_a_burst() -> None:
    overlay = steady(300, 3)
    now = START + 300 * HOUR
    overlay.apply(crowd(25, 3, now, first=10_000))
    [burst] = overlay.bursts(now + HOUR // 10)
    assert burst.successor == 3
    assert burst.seen > 20 > 8 > burst.expected
    assert burst.surprise > np.log(SIZE / 1e-3)


def test_a_steady_stream_has_none() -> None:
    found = [steady(200, 10, seed).bursts(START + 200 * HOUR) for seed in range(20)]
    assert sum(map(len, found)) == 0


def test_a_few_people_are_no_burst() -> None:
    overlay = steady(300, 3)
    now = START + 300 * HOUR
    overlay.apply(crowd(4, 3, now, first=10_000))
    assert overlay.bursts(now) == []


def test_an_hour_in_which_all_is_busy_is_none() -> None:
    overlay = steady(300, 3)
    now = START + 300 * HOUR
    for successor in range(SIZE):
        overlay.apply(crowd(30, successor, now, first=10_000 + 100 * successor))
    assert overlay.bursts(now + HOUR // 10) == []


def test_a_burst_passes() -> None:
    overlay = steady(300, 3)
    now = START + 300 * HOUR
    overlay.apply(crowd(25, 3, now, first=10_000))
    assert overlay.bursts(now + 12 * HOUR) == []


def test_an_empty_overlay_has_none() -> None:
    assert fresh().bursts(START) == []
