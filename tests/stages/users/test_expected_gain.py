"""Who is asked about first: those who should come back soon, and of whom pairs tell least."""

from __future__ import annotations

import numpy as np

from freshet.stages.users import expected_gain
from freshet.stages.users.expected_gain import Activity


def people(rng: np.random.Generator, n: int) -> tuple[Activity, np.ndarray]:
    """Users, and how often each came back: the more recent and the busier, the more often."""
    ago, often = rng.exponential(20.0, n), rng.integers(3, 200, n)
    rate = 2.0 * (1 + ago) ** -1.0 * (often / 50) ** 0.5
    return Activity(ago, often, rng.integers(3, 11, n)), rng.poisson(rate)


def test_the_order_beats_chance_on_later_users() -> None:
    rng = np.random.default_rng(0)
    past = [people(rng, 400) for _ in range(3)]
    now, uses = people(rng, 1000)
    gain = expected_gain(now, past, 2)
    worth = uses * (1 - 2 / now.recent)
    first = np.argsort(-gain, kind="stable")[:100]
    assert worth[first].sum() > 2.5 * worth.sum() * 0.1  # a tenth of the users chosen by chance gets a tenth


def test_more_interests_that_no_pair_holds_come_first() -> None:
    past = [people(np.random.default_rng(1), 300)]
    now = Activity(np.full(3, 2.0), np.full(3, 30), np.array([10, 3, 2]))
    gain = expected_gain(now, past, 2)
    assert gain[0] > gain[1] > gain[2] == 0.0


def test_without_any_earlier_use_the_most_recent_come_first() -> None:
    now = Activity(np.array([5.0, 1.0, 30.0]), np.array([9, 4, 99]), np.array([5, 5, 5]))
    nothing = (now, np.zeros(3, np.int64))
    for past in ([], [nothing]):
        assert np.argsort(-expected_gain(now, past, 2)).tolist() == [1, 0, 2]
    nobody = Activity(np.zeros(0), np.zeros(0, np.int64), np.zeros(0, np.int64))
    assert expected_gain(nobody, [people(np.random.default_rng(2), 50)], 2).shape == (0,)
