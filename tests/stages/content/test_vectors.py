"""Items by who engages them, and users by their items."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.types import Centroids
from freshet.stages.content import (
    ContentVectors,
    ItemEngagements,
    centred,
    engaged_vectors,
    mean_by_interest,
)
from freshet.stages.interests import co_engagement
from tests.stages.content.worlds import random_centroids, unit


def crowd(seed: int, items: int, users: int = 300) -> ItemEngagements:
    """Users who engage items of one half or of the other."""
    rng = np.random.default_rng(seed)
    user = np.repeat(np.arange(users, dtype=np.uint64), 8)
    item = rng.integers(0, items // 2, len(user)) * 2 + (user % 2).astype(np.int64)
    return ItemEngagements(user, np.arange(len(user), dtype=np.int64), item.astype(np.int32))


def test_items_that_the_same_people_engage_are_near() -> None:
    log = crowd(0, 160)
    found = engaged_vectors(log, 160, co_engagement).astype(np.float64)
    near = found @ found.T
    assert near[::2, ::2].mean() > near[::2, 1::2].mean() + 0.1
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1.0, atol=1e-5)
    kept = log.user % np.uint64(3) > 0
    some = ItemEngagements(log.user[kept], log.time[kept], log.item[kept])
    np.testing.assert_array_equal(
        engaged_vectors(log, 160, co_engagement, kept), engaged_vectors(some, 160, co_engagement)
    )


def test_items_that_nobody_has_met_change_nothing() -> None:
    """Neither how many there are nor where they stand; they have no place themselves."""
    log, places = crowd(1, 160), np.sort(np.random.default_rng(1).permutation(200)[:160]).astype(np.int32)
    moved = ItemEngagements(log.user, log.time, places[log.item])
    alone, among = engaged_vectors(log, 160, co_engagement), engaged_vectors(moved, 200, co_engagement)
    np.testing.assert_array_equal(among[places], alone)
    assert not np.delete(among, places, axis=0).any()
    nobody = ItemEngagements(log.user[:0], log.time[:0], log.item[:0])
    assert engaged_vectors(nobody, 3, co_engagement).shape == (3, 0)


def test_an_interest_lies_amid_its_items() -> None:
    vectors = unit(np.random.default_rng(0).normal(size=(4, 3)))
    found = mean_by_interest(vectors, np.array([2, -1, 2, 0]), 4)
    both = vectors[0].astype(np.float64) + vectors[2]
    np.testing.assert_allclose(found[2], both / np.linalg.norm(both), atol=1e-6)
    np.testing.assert_allclose(found[0], vectors[3], atol=1e-6)
    assert not found[[1, 3]].any()


@given(
    items=st.lists(st.integers(0, 5), unique=True, max_size=5),
    padding=st.integers(0, 3),
    weights=st.lists(st.floats(-2, 2), min_size=5, max_size=5),
)
def test_shares_of_items_add_up_to_what_the_profile_says(
    items: list[int], padding: int, weights: list[float]
) -> None:
    rng = np.random.default_rng(3)
    centroids: Centroids = random_centroids(4, 3)
    text, engaged = (
        unit(rng.normal(size=(6, space.shape[1]))).astype(np.float16)
        for space in (centroids.text, centroids.engaged)
    )
    text[2] = 0  # an item without a text
    vectors = ContentVectors(text, engaged, np.array([0, 1, 0, 2, 0, 1], np.int16), centroids)
    numbers = np.array(items, np.int32)
    [profile] = vectors.profiles(np.append(np.full(padding, -1, np.int32), numbers)[None])
    [again] = vectors.profiles(numbers[None])
    np.testing.assert_allclose(profile, again, atol=1e-6)
    split, end = centroids.text.shape[1], centroids.width - 4
    own = np.bincount(vectors.interest[items], minlength=4) if items else np.zeros(4)
    np.testing.assert_allclose(profile[end:], np.log1p(own), atol=1e-6)
    for interest in range(4):
        expected = (
            weights[0] * profile[:split] @ centroids.text[interest]
            + weights[2] * profile[split:end] @ centroids.engaged[interest]
            + weights[4] * profile[end + interest]
        )
        shares = vectors.shares(numbers, np.array(weights), interest)
        assert shares.shape == (len(items),)
        np.testing.assert_allclose(shares.sum(), expected, atol=1e-4)


def test_centred_vectors_have_no_common_direction() -> None:
    """Vectors that all point about the same way tell items apart once that is taken away; zero stays zero."""
    rng = np.random.default_rng(0)
    ready = (rng.normal(size=(200, 8)) + 5.0).astype(np.float32)
    ready /= np.linalg.norm(ready, axis=1, keepdims=True)
    ready[0] = 0.0
    found = centred(ready, np.arange(100, dtype=np.int32))
    assert not found[0].any()
    np.testing.assert_allclose(np.linalg.norm(found[1:], axis=1), 1.0, rtol=1e-5)
    assert (ready[1:] @ ready[1:].T).mean() > 0.9
    assert abs((found[1:] @ found[1:].T).mean()) < 0.1
    assert not centred(np.zeros((3, 4), np.float32), np.zeros(0, np.int32)).any()
