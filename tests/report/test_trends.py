"""Shares of take-ups over time, on planted movements."""

from __future__ import annotations

import numpy as np

from freshet.report.trends import binned, z_scores
from freshet.stages.schedule.successor_overlap import ContextTransitions


def test_bins_end_at_the_moment_and_count_every_row_once() -> None:
    rng = np.random.default_rng(0)
    day, successor = rng.integers(100, 160, 5000), rng.integers(0, 5, 5000)
    moves = ContextTransitions(
        np.zeros(5000, np.uint64), day.astype(np.int32), np.zeros(5000, np.int16), successor.astype(np.int16)
    )
    counts = binned(moves, 158, 7, 4, 5)
    for place in range(4):
        start = 158 - 7 * (4 - place)
        inside = (day >= start) & (day < start + 7)
        assert counts[place].tolist() == np.bincount(successor[inside], minlength=5).tolist()


def test_z_tells_a_rise_from_noise() -> None:
    rng = np.random.default_rng(1)
    level = np.full(20, 0.05)
    risen = level.copy()
    risen[3] *= 3
    risen /= risen.sum()
    z = z_scores(rng.multinomial(3000, level), rng.multinomial(3000, risen))
    assert z.argmax() == 3
    assert z[3] > 8
    assert np.abs(np.delete(z, 3)).max() < 4.5
    noise = [z_scores(rng.multinomial(3000, level), rng.multinomial(900, level)) for _ in range(200)]
    assert abs(np.std(noise) - 1) < 0.05


def test_an_interest_nobody_takes_up_has_no_score() -> None:
    assert z_scores(np.array([10, 0]), np.array([12, 0])).tolist() == [0.0, 0.0]
