"""Counts as probabilities: worked examples, shrinkage at its limits, fall-backs, and files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.types import RECENT, Transitions
from freshet.stages.counts import (
    CountModel,
    HeldOut,
    Scorer,
    choose_prior_counts,
    feature_names,
    log_softmax,
    read,
    write,
)
from freshet.stages.counts.prior_counts import GRID
from tests.stages.counts.worlds import random_sums, sums, users

N = 4


def model(k: int, prior_counts: tuple[float, ...] | None = None, seed: int = 0) -> CountModel:
    popularity = [random_sums(N, 0, seed), random_sums(N, 0, seed + 1, 1.0), random_sums(N, 0, seed + 2)]
    suffixes = [random_sums(N, length, seed, 1.0) for length in range(1, k + 1)]
    return CountModel.build(popularity, suffixes, N, prior_counts or (10.0,) * k)


def test_a_worked_example() -> None:
    # popularity 2, 1, 1, 0 with one pseudo-count each: (3, 2, 2, 1) / 8
    popularity = sums({((), 0): 2.0, ((), 1): 1.0, ((), 2): 1.0}, 0)
    last = sums({((0,), 1): 3.0, ((0,), 2): 1.0}, 1)
    pair = sums({((1, 0), 2): 4.0}, 2)
    made = CountModel.build([popularity], [last, pair], N, (4.0, 2.0))
    features = np.exp(made.features(users((1, 0)))[0].astype(np.float64))  # (F, N)
    base = np.array([3, 2, 2, 1]) / 8
    after_last = (np.array([0, 3, 1, 0]) + 4 * base) / 8
    after_pair = (np.array([0, 0, 4, 0]) + 2 * after_last) / 6
    recent = (after_last + base) / 2  # nothing was seen after interest 1: its row is the base
    np.testing.assert_allclose(features, [base, after_last, after_pair, recent], rtol=1e-5)
    assert feature_names([7.0], 2) == ("popularity_7d", "last", "pair", "recent")


@pytest.mark.parametrize("k", [1, 2, 3])
@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), data=st.data())
def test_every_feature_is_a_distribution(k: int, seed: int, data: st.DataObject) -> None:
    recent = data.draw(st.lists(st.permutations(range(N)).map(tuple), min_size=1, max_size=4))
    cut = data.draw(st.integers(0, N))
    features = model(k, seed=seed).features(users(*[row[:cut] for row in recent]))
    assert features.shape == (len(recent), len(feature_names((1.0, 2.0, 3.0), k)), N)
    np.testing.assert_allclose(np.exp(features.astype(np.float64)).sum(axis=2), 1.0, rtol=1e-4)


def test_a_feature_without_its_context_equals_the_next_simpler_one() -> None:
    made = model(3)
    middle, last, pair, triple, recent = 1, 3, 4, 5, 6
    nobody, one, two, three = made.features(users((), (2,), (1, 2), (0, 1, 2)))
    for column in (last, pair, triple, recent):
        np.testing.assert_array_equal(nobody[column], nobody[middle])
    np.testing.assert_array_equal(one[pair], one[last])
    np.testing.assert_array_equal(one[triple], one[last])
    np.testing.assert_allclose(one[recent], one[last], rtol=1e-6)
    np.testing.assert_array_equal(two[triple], two[pair])
    np.testing.assert_array_equal(two[last], one[last])
    np.testing.assert_array_equal(three[pair], two[pair])
    assert not np.allclose(three[triple], three[pair])


def test_shrinkage_at_its_limits() -> None:
    alone = users((0, 1, 2))
    strong, weak = (np.exp(model(3, (s, s, s)).features(alone)[0].astype(np.float64)) for s in (1e12, 1e-9))
    np.testing.assert_allclose(strong[3:6], np.repeat(strong[1:2], 3, axis=0), rtol=1e-5)
    counts = {1: np.zeros(N), 2: np.zeros(N), 3: np.zeros(N)}
    for length, total in counts.items():
        seen = random_sums(N, length, 0, 1.0)
        for context, successor, weight in zip(seen.contexts, seen.successor, seen.weight, strict=True):
            if tuple(context) == (0, 1, 2)[-length:]:
                total[successor] += weight
    for column, length in ((3, 1), (4, 2), (5, 3)):
        np.testing.assert_allclose(weak[column], counts[length] / counts[length].sum(), atol=1e-6)


def test_no_counts_at_all_give_uniform_popularity_everywhere() -> None:
    empty = [sums({}, 0)] * 2
    made = CountModel.build(empty, [sums({}, 1), sums({}, 2), sums({}, 3)], N, (1.0, 1.0, 1.0))
    np.testing.assert_allclose(made.features(users((), (0,), (0, 1, 2))), np.log(1 / N), rtol=1e-6)


def test_memory_grows_with_what_was_seen_not_with_all_triples() -> None:
    interests = 2000  # all triples would need 8 billion rows
    seen = sums({((5, 7, 1999), 3): 2.0, ((0, 1, 2), 4): 1.0}, 3)
    popularity = sums({((), i): 1.0 for i in range(interests)}, 0)
    made = CountModel.build([popularity], [sums({}, 1), sums({}, 2), seen], interests, (1.0, 1.0, 1.0))
    features = np.exp(made.features(users((5, 7, 1999), (7, 5, 1999)))[:, 3].astype(np.float64))
    assert features[0, 3] == pytest.approx((2 + 1 / interests) / 3, rel=1e-4)
    assert features[1, 3] == pytest.approx(1 / interests, rel=1e-4)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_files_give_the_same_scores(k: int, tmp_path: Path) -> None:
    made = model(k)
    write(made, tmp_path / "counts")
    again = read(tmp_path / "counts")
    recent = users((), (1,), (0, 3), (2, 0, 1), (3, 2, 1, 0))
    np.testing.assert_array_equal(again.features(recent), made.features(recent))
    weights = np.linspace(0.1, 1.0, len(feature_names((1.0, 2.0, 3.0), k)))
    known = np.zeros((len(recent), N), bool)
    known[:, 0] = True
    one, two = Scorer(made, weights)(recent, known), Scorer(again, weights)(recent, known)
    np.testing.assert_array_equal(one.fused, two.fused)
    assert one.planner is None
    np.testing.assert_array_equal(one.fused, one.count)
    np.testing.assert_allclose(np.exp(one.fused).sum(axis=1), 1.0)
    assert np.isneginf(one.fused[:, 0]).all()


def test_a_context_scores_like_a_user_with_just_that_context() -> None:
    made = Scorer(model(2), np.full(6, 0.5))
    contexts = np.array([[-1, -1], [-1, 2], [3, 2]], np.int16)
    known = np.zeros((3, N), bool)
    np.testing.assert_array_equal(made(contexts, known).fused, made(users((), (2,), (3, 2)), known).fused)


def _held(pairs: list[tuple[int, int]]) -> Transitions:
    rows = len(pairs)
    return Transitions.on_days(
        np.arange(rows, dtype=np.uint64),
        np.zeros(rows, np.int32),
        users(*[(last,) for last, _ in pairs]),
        np.array([successor for _, successor in pairs], np.int16),
        np.zeros((rows, N), bool),
    )


def test_strength_is_weak_where_counts_tell_all_and_strong_where_they_mislead() -> None:
    popularity = [sums({((), i): 5.0 for i in range(N)}, 0)]
    follows = sums({((i,), (i + 1) % N): 3.0 for i in range(N)}, 1)

    def build(prior_counts: tuple[float, ...]) -> CountModel:
        return CountModel.build(popularity, [follows], N, prior_counts)

    true = _held([(i, (i + 1) % N) for i in range(N)] * 5)
    false = _held([(i, (i + 2) % N) for i in range(N)] * 5)
    assert choose_prior_counts([HeldOut(build, [follows], true)], 1) == (1.0,)
    assert choose_prior_counts([HeldOut(build, [follows], false)], 1) == (300.0,)
    assert users(()).shape == (1, RECENT)


@pytest.mark.parametrize("seed", range(6))
def test_strengths_are_those_whose_feature_is_most_likely(seed: int) -> None:
    rng = np.random.default_rng(seed)
    popularity = [random_sums(N, 0, seed)]
    suffixes = [random_sums(N, length, seed) for length in (1, 2)]
    recent = [tuple(rng.permutation(N)[: rng.integers(0, 4)]) for _ in range(40)]
    known = rng.random((40, N)) < 0.3
    successor = rng.integers(0, N, 40).astype(np.int16)
    known[np.arange(40), successor] = False
    log = Transitions.on_days(
        np.arange(40, dtype=np.uint64), np.zeros(40, np.int32), users(*recent), successor, known
    )

    def build(prior_counts: tuple[float, ...]) -> CountModel:
        return CountModel.build(popularity, suffixes, N, prior_counts)

    def likelihood(prior_counts: tuple[float, ...], length: int) -> float:
        rows = log.recent[:, -length] >= 0
        feature = build(prior_counts).features(log.recent[rows])[:, length]
        return float(
            log_softmax(feature.astype(np.float64), known[rows])[np.arange(rows.sum()), successor[rows]].sum()
        )

    first = max(GRID, key=lambda s: likelihood((s, 1.0), 1))
    second = max(GRID, key=lambda s: likelihood((first, s), 2))
    assert choose_prior_counts([HeldOut(build, suffixes, log)], 2) == (first, second)
