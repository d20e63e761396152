"""One user, compiled, gets the scores that the mixture gives to many at once."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.types import CONTENT, Context
from freshet.stages.counts import (
    ContentPart,
    CountModel,
    PlannerScores,
    Scorer,
    SingleUserScorer,
    feature_names,
)
from tests.stages.content.worlds import random_centroids, random_profile
from tests.stages.counts.test_planner_score import among_lists, rows
from tests.stages.counts.worlds import random_sums, users
from tests.stages.sequence.worlds import random_model

N = 5


def scorer(k: int, seed: int, planner: str = "", sequence: bool = False, beside: bool = True) -> Scorer:
    """A scorer over random counts, with what is asked for beside them."""
    rng = np.random.default_rng(seed)
    suffixes = [random_sums(N, length, seed) for length in range(1, k + 1)]
    popularity = [random_sums(N, 0, seed + half) for half in range(2)]
    model = CountModel.build(popularity, suffixes, N, [3.0, 10.0, 1.0][:k])
    weights = rng.uniform(0, 1.5, (3, len(feature_names((1.0, 2.0), k))))
    scores = None
    if planner:
        contexts = [c for length in (1, 2, 3)[:k] for c in permutations(range(N), length)]
        answers: dict[Context, dict[int, float]] = {}
        for context in contexts:
            listed = rng.permutation([s for s in range(N) if s not in context])[: rng.integers(0, 4)]
            shares = rng.dirichlet(np.ones(len(listed) + 1))[: len(listed)] if len(listed) else []
            answers[context] = dict(zip(listed.tolist(), shares, strict=True))
        answered = rows(answers, k)
        if planner == "listed":
            answered = among_lists(answered, *rng.uniform(0.1, 1.0, len(answered)))
        scores = PlannerScores(answered, N, model.base if planner == "relative" else None)
    embedding = rng.normal(size=(N, N)).astype(np.float32)

    def logits(recent: np.ndarray, prior: np.ndarray) -> np.ndarray:
        return (embedding[recent[:, -1]] + prior.mean(axis=0)).astype(np.float32)

    fused = rng.uniform(0.1, 1.0, 1 + bool(planner) + sequence) if beside else None
    return Scorer(model, weights, scores, fused, logits if sequence else None)


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("planner", ["", "alone", "relative", "listed"])
@pytest.mark.parametrize("sequence", [False, True])
@settings(max_examples=25)
@given(
    recent=st.lists(st.integers(0, N - 1), unique=True, max_size=N),
    excluded=st.sets(st.integers(0, N - 1), max_size=N),
    seed=st.integers(0, 5),
)
def test_equals_the_scorer(
    k: int, planner: str, sequence: bool, recent: list[int], excluded: set[int], seed: int
) -> None:
    mixture = scorer(k, seed, planner, sequence, beside=bool(planner or sequence))
    packed, barred = users(tuple(recent)), np.zeros((1, N), bool)
    barred[0, list(excluded)] = True
    expected, found = mixture(packed, barred), SingleUserScorer(mixture)(packed[0], barred[0])
    np.testing.assert_allclose(found.count, expected.count[0], atol=1e-5)
    np.testing.assert_allclose(found.fused, expected.fused[0], atol=1e-5)
    np.testing.assert_array_equal(found.final, found.fused)
    assert (found.planner is None) == (expected.planner is None or not recent)
    assert (found.sequence is None) == (expected.sequence is None or not recent)
    assert np.isneginf(found.fused[barred[0]]).all()
    if not barred.all():
        assert np.exp(found.fused).sum() == pytest.approx(1.0)


def described(mixture: Scorer, seed: int, alone: bool, unused: bool) -> Scorer:
    """The scorer with random weights of content, also for users without recent interests where `alone`.

    `unused`: content has weights for those alone.
    """
    rng = np.random.default_rng([seed, 3])
    weights, of_items = (rng.normal(size=len(CONTENT)) * 2 for _ in range(2))
    of_items[1::2] = 0  # without recent interests there are no features of theirs
    part = ContentPart(
        random_centroids(N, seed),
        weights * (not unused),
        np.append(rng.uniform(0.5, 1.5), of_items) if alone else None,
    )
    return replace(mixture, content=part)


@pytest.mark.parametrize("planner", ["", "relative"])
@pytest.mark.parametrize("sequence", [False, True])
@settings(max_examples=60)
@given(
    recent=st.lists(st.integers(0, N - 1), unique=True, max_size=N),
    excluded=st.sets(st.integers(0, N - 1), max_size=N),
    seed=st.integers(0, 5),
    known=st.sampled_from([None, (False, False), (True, False), (False, True), (True, True)]),
    alone=st.booleans(),
    unused=st.booleans(),
)
def test_content_adds_what_it_adds_in_the_scorer(
    planner: str,
    sequence: bool,
    recent: list[int],
    excluded: set[int],
    seed: int,
    known: tuple[bool, bool] | None,
    alone: bool,
    unused: bool,
) -> None:
    without = scorer(2, seed, planner, sequence)
    mixture = described(without, seed, alone, unused)
    packed, barred = users(tuple(recent)), np.zeros((1, N), bool)
    barred[0, list(excluded)] = True
    own = () if known is None else (random_profile(seed, *known),)
    expected = mixture(packed, barred, *(profile[None] for profile in own))
    one = SingleUserScorer(mixture)
    found = one(packed[0], barred[0], np.zeros(0), *own)
    np.testing.assert_allclose(found.count, expected.count[0], atol=1e-5)
    np.testing.assert_allclose(found.fused, expected.fused[0], atol=1e-5)

    plain, free = without(packed, barred).fused[0], ~barred[0]
    reads_items = known not in (None, (False, False))
    if not recent and not (reads_items and alone):
        assert found.content is None  # nothing to tell them by
        np.testing.assert_allclose(found.fused, plain, atol=1e-5)
    elif recent:
        assert found.content is not None
        assert found.content.any() != unused
        told = np.where(free, plain + found.content, -np.inf)  # the rest of the mixture stays as it is
        expected_odds = told[free] - np.logaddexp.reduce(told[free]) if free.any() else told[free]
        np.testing.assert_allclose(found.fused[free], expected_odds, atol=1e-4)


def test_content_reads_items_and_interests_by_their_own_weights() -> None:
    """A worked example: the user's items lie at one interest, the recent interest is another."""
    mixture = described(scorer(2, 0), 0, alone=True, unused=False)
    assert mixture.content is not None
    spaces, weights = mixture.content.centroids, np.array([1.5, -0.5, 0.75, 2.0, 0.25])
    part = replace(mixture.content, weights=weights, without_context=np.array([1.0, 3.0, 0.0, 0.5, 0.0, 0.1]))
    one = SingleUserScorer(replace(mixture, content=part))
    earlier = np.arange(N, dtype=np.float32)
    profile = np.concatenate([spaces.text[2], spaces.engaged[2], earlier])
    nobody, barred = np.zeros(N, bool), np.zeros(0)
    text, engaged = spaces.text @ spaces.text.T, spaces.engaged @ spaces.engaged.T
    after = one(users((0,))[0], nobody, barred, profile)
    expected = 1.5 * text[2] - 0.5 * text[0] + 0.75 * engaged[2] + 2.0 * engaged[0]
    expected += 0.25 * earlier
    np.testing.assert_allclose(after.content, expected, atol=1e-5)
    unseen = one(users((0,))[0], nobody)  # the interest stands in for the items
    np.testing.assert_allclose(unseen.content, text[0] + 2.75 * engaged[0], atol=1e-5)
    alone = one(users(())[0], nobody, barred, profile)
    np.testing.assert_allclose(alone.content, 3.0 * text[2] + 0.5 * engaged[2] + 0.1 * earlier, atol=1e-5)
    assert one.content_weights(True).tolist() == weights.tolist()
    assert one.content_weights(False).tolist() == [3.0, 0.0, 0.5, 0.0, 0.1]


def test_live_signals_raise_what_is_left() -> None:
    mixture, barred = scorer(2, 0, "alone"), np.array([True, False, False, False, False])
    bonus = np.array([9.0, 1.0, 0.0, 0.0, 0.0])
    one = SingleUserScorer(mixture)(users((3, 4))[0], barred, bonus)
    raised = np.exp(one.fused + bonus)
    np.testing.assert_allclose(np.exp(one.final), raised / raised.sum())
    assert one.final[0] == -np.inf


def test_a_sequence_model_for_one_user_says_the_same() -> None:
    model = random_model(things=N)
    mixture = replace(scorer(2, 0, "", sequence=True), sequence=model.logits)
    whole, parts = (
        SingleUserScorer(mixture),
        SingleUserScorer(mixture, model.reader(mixture.model.popularity)),
    )
    for recent in ((1,), (1, 4), (0, 1, 2, 3)):
        one = [each(users(recent)[0], np.zeros(N, bool)) for each in (whole, parts)]
        np.testing.assert_allclose(one[0].fused, one[1].fused, atol=1e-5)
