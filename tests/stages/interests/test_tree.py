from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.stages.interests.item_vectors import truncated_svd, unit
from freshet.stages.interests.partition import cap_load, split, top_up
from freshet.stages.interests.tree import MAX_LOAD, Tree, apportion, grow, regrow


def blobs(groups: int, each: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    centers = unit(rng.standard_normal((groups, 16)))
    labels = np.repeat(np.arange(groups), each)
    return unit(centers[labels] + 0.08 * rng.standard_normal((groups * each, 16))), labels


def same_partition(one: np.ndarray, two: np.ndarray) -> bool:
    return (
        len(set(zip(one.tolist(), two.tolist(), strict=True)))
        == len(set(one.tolist()))
        == len(set(two.tolist()))
    )


def test_separate_blobs_are_found_whatever_the_depth_of_the_tree() -> None:
    vectors, planted = blobs(40, 12)
    tree = grow(vectors, np.ones(len(vectors)), 40, seed=0)
    assert same_partition(tree.labels, planted)
    assert all(len(path) <= 3 for path in tree.paths)


def test_paths_group_alike_interests() -> None:
    vectors, _ = blobs(40, 12)
    paths = grow(vectors, np.ones(len(vectors)), 40, seed=0).paths
    assert len(set(paths)) == 40
    assert all(a[: len(b)] != b for a in paths for b in paths if a is not b)


@given(
    st.integers(2, 12),
    st.lists(st.integers(1, 5_000), min_size=30, max_size=80),
    st.integers(0, 5),
)
@settings(max_examples=30, deadline=None)
def test_no_interest_is_too_busy_unless_one_item_is(interests: int, traffic: list[int], seed: int) -> None:
    load = np.array(traffic, np.float64)
    vectors = unit(np.random.default_rng(seed).standard_normal((len(load), 6)))
    tree = grow(vectors, load, interests, seed)
    carried = np.bincount(tree.labels, load, interests)
    sizes = np.bincount(tree.labels, minlength=interests)
    assert sizes.min() >= 1
    assert len(sizes) == len(tree.paths) == interests
    assert ((carried <= MAX_LOAD * load.sum() / interests + 1e-6) | (sizes == 1)).all()


def test_copies_of_one_item_still_fill_every_group() -> None:
    vectors = np.tile(unit(np.ones((1, 4))), (9, 1))
    assert sorted(np.bincount(split(vectors, np.ones(9), 4, 1.5, (0,)), minlength=4)) != [0, 0, 0, 9]
    assert np.bincount(split(vectors, np.ones(9), 4, 1.5, (0,)), minlength=4).min() >= 1


def test_cap_moves_the_item_that_loses_least() -> None:
    vectors = unit(np.array([[1, 0.0], [1, 0.1], [0.8, 0.6], [0.0, 1.0]]))
    moved = cap_load(vectors, np.ones(4), np.array([0, 0, 0, 1]), 2, multiple=1.0)
    assert moved.tolist() == [0, 0, 1, 1]


def test_top_up_takes_the_nearest_item() -> None:
    vectors = unit(np.array([[1, 0.0], [1, 0.1], [0.6, 0.8], [0.0, 1.0]]))
    topped = top_up(vectors, np.ones(4), np.array([0, 0, 0, 1]), 2, smallest=2, multiple=3.0)
    assert topped.tolist() == [0, 0, 1, 1]


def test_regrowing_keeps_the_interests_and_places_new_items() -> None:
    vectors, planted = blobs(12, 20)
    known = np.arange(len(vectors)) % 4 != 0
    former = Tree(np.where(known, planted, -1), tuple((i,) for i in range(12)))
    assert np.array_equal(regrow(vectors, np.ones(len(vectors)), former).labels, planted)


@given(st.lists(st.tuples(st.floats(0.01, 100), st.integers(1, 30)), min_size=1, max_size=9), st.data())
def test_apportion_gives_every_seat_within_bounds(
    branches: list[tuple[float, int]], data: st.DataObject
) -> None:
    load = np.array([b[0] for b in branches])
    sizes = np.array([b[1] for b in branches])
    seats = data.draw(st.integers(len(branches), int(sizes.sum())))
    given_seats = apportion(load, seats, sizes)
    assert given_seats.sum() == seats
    assert ((given_seats >= 1) & (given_seats <= sizes)).all()


@pytest.mark.parametrize("rank", [1, 3, 50])
def test_truncated_svd_agrees_with_the_exact_one(rank: int) -> None:
    from scipy import sparse

    rng = np.random.default_rng(0)
    dense = rng.standard_normal((30, 5)) @ rng.standard_normal((5, 20))
    values, directions = truncated_svd(sparse.csr_matrix(dense), rank, seed=0)
    exact = np.linalg.svd(dense)
    kept = min(rank, 5)  # directions without variance are left out
    assert np.allclose(values, exact.S[:kept])
    assert np.allclose(np.abs(directions @ exact.Vh[:kept].T), np.eye(kept), atol=1e-6)
