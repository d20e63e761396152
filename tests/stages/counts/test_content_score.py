"""Cosines of users' items and interests with candidates, by definition; and what they are in a mixture."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from freshet.core.types import CONTENT, ContentView, Mixture, Transitions
from freshet.stages.counts import ContentPart, content_features, held_by_all
from tests.stages.content.worlds import TEXT, random_centroids, random_profile
from tests.stages.counts.test_single_user_scorer import described, scorer
from tests.stages.counts.worlds import users

N = 5


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    length = float(np.linalg.norm(a) * np.linalg.norm(b))
    return float(a @ b) / length if length > 1e-9 else 0.0


@given(
    recent=st.lists(st.integers(0, N - 1), unique=True, max_size=N),
    seed=st.integers(0, 20),
    known=st.sampled_from([None, (False, False), (True, False), (False, True), (True, True)]),
)
def test_features_are_cosines(recent: list[int], seed: int, known: tuple[bool, bool] | None) -> None:
    """With the mean of the items, or failing that of the recent interests; and always with the latter."""
    centroids = random_centroids(N, seed)
    profile = None if known is None else random_profile(seed, *known)
    [found] = content_features(centroids, users(tuple(recent)), None if profile is None else profile[None])
    assert found.shape == (len(CONTENT), N)
    for place, (space, part) in enumerate(
        zip((centroids.text, centroids.engaged), (slice(0, TEXT), slice(TEXT, None)), strict=True)
    ):
        interests = space[recent].sum(axis=0) if recent else np.zeros(space.shape[1])
        items = interests if profile is None or not profile[part].any() else profile[part]
        for row, user in ((2 * place, items), (2 * place + 1, interests)):
            np.testing.assert_allclose(found[row], [cosine(user, c) for c in space], atol=1e-5)


def test_features_that_are_fused_end_with_those_of_content() -> None:
    """In their order, 0 for what is no candidate; without a view there are none."""
    mixture = scorer(2, 0, sequence=True)
    recent, centroids = users((0, 1), (), (3,)), random_centroids(N, 0)
    profiles = np.stack([random_profile(0, True, True), random_profile(1, True, False), np.zeros(7)])
    known = np.zeros((3, N), bool)
    known[0, [0, 1]] = True
    rows = Transitions(
        np.arange(3, dtype=np.uint64), np.zeros(3, np.int64), recent, np.array([2, 3, 4], np.int16), known
    )
    view = ContentView(centroids, lambda some: profiles[some.user.astype(np.int64)].astype(np.float32))
    without, found = held_by_all(mixture, rows), held_by_all(mixture, rows, view)
    assert without.features.shape == (3, 2, N)
    np.testing.assert_array_equal(found.features[:, :2], without.features)
    expected = content_features(centroids, recent, profiles.astype(np.float32))
    np.testing.assert_array_equal(found.features[:, 2:], np.where(known[:, None], 0, expected))
    some = rows.take(np.array([2, 0]))
    np.testing.assert_array_equal(
        held_by_all(mixture, some, view).features[:, 2:], found.features[[2, 0], 2:]
    )


def test_rows_without_a_view_and_without_content() -> None:
    plain, recent = scorer(2, 1, sequence=True), users((0, 1), (), (3,))
    rows = Transitions(
        np.arange(3, dtype=np.uint64),
        np.zeros(3, np.int64),
        recent,
        np.array([2, 3, 4], np.int16),
        np.zeros((3, N), bool),
    )
    view = ContentView(random_centroids(N, 1), lambda some: np.zeros((len(some), 7), np.float32))
    np.testing.assert_array_equal(plain.rows(rows, view).fused, plain.rows(rows).fused)
    mixture = described(plain, 1, alone=True, unused=False)
    np.testing.assert_allclose(mixture.rows(rows, view).fused, mixture.rows(rows).fused, atol=1e-12)


def test_a_part_is_only_what_has_a_weight() -> None:
    centroids, ones = random_centroids(N, 0), np.ones(3)
    used = Mixture(("counts", CONTENT[2], "sequence"), np.array([1.0, 0.5, 2.0]), ones, ones, 9, 9)
    sequence = Mixture(("counts", "sequence"), ones[:2], ones[:2], ones[:2], 9, 9)
    items = Mixture(("counts", CONTENT[0]), np.array([0.9, 0.4]), ones[:2], ones[:2], 9, 9)
    for nothing in (None, sequence):
        assert ContentPart.of(centroids, nothing, None) is None
    assert ContentPart.of(None, used, items) is None
    both = ContentPart.of(centroids, used, items)
    assert both is not None
    assert both.weights.tolist() == [0.0, 0.0, 0.5, 0.0]
    assert both.without_context is not None
    assert both.without_context.tolist() == [0.9, 0.4, 0.0, 0.0, 0.0]
    alone = ContentPart.of(centroids, sequence, items)
    assert alone is not None
    assert not alone.weights.any()


def test_users_without_recent_interests_are_told_apart_by_their_items_alone() -> None:
    mixture = described(scorer(2, 0), 0, alone=True, unused=False)
    recent, free = users((), ()), np.zeros((2, N), bool)
    profiles = np.stack([random_profile(0, True, True), np.zeros(7, np.float32)])
    found = mixture(recent, free, profiles)
    np.testing.assert_array_equal(found.fused[1], found.count[1])
    assert not np.allclose(found.fused[0], found.count[0], atol=1e-2)
    np.testing.assert_allclose(np.exp(found.fused).sum(axis=1), 1.0)
