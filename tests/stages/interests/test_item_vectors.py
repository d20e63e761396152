"""How much one user counts for the traffic of items."""

from __future__ import annotations

import numpy as np

from freshet.stages.interests.item_vectors import SHARE, capped_traffic


def crowd(users: int = 200, items: int = 20, each: int = 12) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    pairs = [(user, item) for user in range(users) for item in rng.choice(items, each, replace=False)]
    user, item = np.array(pairs).T
    return user, item, np.ones(len(user), np.int64)


def plain(user: np.ndarray, item: np.ndarray, count: np.ndarray, items: int) -> np.ndarray:
    return np.bincount(item, count, items)


def test_ordinary_users_count_in_full() -> None:
    user, item, count = crowd()
    np.testing.assert_array_equal(capped_traffic(user, item, count, 20), plain(user, item, count, 20))
    few = np.array([0, 0, 1]), np.array([0, 1, 1]), np.array([3, 1, 2])
    np.testing.assert_array_equal(capped_traffic(*few, 3), [3, 3, 0])
    heavy = np.append(user, [200] * 20), np.append(item, np.arange(20)), np.append(count, [5] * 20)
    np.testing.assert_array_equal(capped_traffic(*heavy, 20), plain(*heavy, 20))
    assert not capped_traffic(*(np.zeros(0, np.int64) for _ in range(3)), 4).any()


def test_a_bot_on_one_item_is_one_opinion() -> None:
    user, item, count = crowd()
    bot = np.append(user, 200), np.append(item, 7), np.append(count, 100_000)
    added = capped_traffic(*bot, 20) - capped_traffic(user, item, count, 20)
    assert added[7] == 10
    assert added.sum() == 10


def test_a_bot_on_everything_is_a_small_part_of_all() -> None:
    user, item, count = crowd(items=2_000)
    bot = np.append(user, [200] * 2_000), np.append(item, np.arange(2_000)), np.append(count, [9] * 2_000)
    added = capped_traffic(*bot, 2_000) - capped_traffic(user, item, count, 2_000)
    assert 0 < added.sum() <= 1.01 * max(SHARE * capped_traffic(*bot, 2_000).sum(), 10 * 12)
