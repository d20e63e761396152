"""Which interests are shown, and with which probability."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.serving.policy import Policy, choose, first_place_probabilities, similarity_of

ALONE = np.eye(4, dtype=np.float32)
SCORES = np.log(np.array([0.4, 0.3, 0.2, 0.1]))


def uniforms(count: int, seed: int = 0, explores: bool = False) -> np.ndarray:
    drawn = np.random.default_rng(seed).random(count + 1)
    drawn[0] = 0.0 if explores else 0.999
    return drawn


def test_without_exploration_the_best_are_taken_with_certainty() -> None:
    choice = choose(SCORES, SCORES, ALONE, 3, Policy(0.0, 1.0, 0.0), uniforms(3))
    assert choice.interests.tolist() == [0, 1, 2]
    assert choice.propensities.tolist() == [1.0, 1.0, 1.0]
    assert not choice.explored
    assert not choice.drawn.any()
    assert choice.better.tolist() == [0, 1, 2]


def test_what_may_not_be_offered_is_never_chosen_and_too_few_are_fewer() -> None:
    scores = np.array([-np.inf, np.log(0.5), -np.inf, np.log(0.5)])
    choice = choose(scores, scores, ALONE, 4, Policy(1.0, 1.0, 0.0), uniforms(4, explores=True))
    assert sorted(choice.interests.tolist()) == [1, 3]
    assert (
        choose(np.full(4, -np.inf), SCORES, ALONE, 2, Policy(0.5, 1.0, 0.0), uniforms(2)).interests.size == 0
    )


def test_likeness_to_what_stands_above_costs_its_nats() -> None:
    vectors = np.array([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    likeness = similarity_of(vectors)
    assert likeness.tolist()[0] == [1.0, 1.0, 0.0, 0.0]
    scores = np.log(np.array([0.4, 0.35, 0.25, 1e-9]))
    assert choose(scores, scores, likeness, 3, Policy(0.0, 1.0, 0.0), uniforms(3)).interests.tolist() == [
        0,
        1,
        2,
    ]
    assert choose(scores, scores, likeness, 3, Policy(0.0, 1.0, 0.5), uniforms(3)).interests.tolist() == [
        0,
        2,
        1,
    ]


@pytest.mark.parametrize("diversity", [0.0, 0.7])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_propensities_are_how_often_it_happens(share: float, diversity: float) -> None:
    vectors = np.array([[1.0, 0.0], [0.8, 0.6], [0.0, 1.0], [0.6, 0.8]])
    policy, rng, seen = Policy(share, 0.8, diversity), np.random.default_rng(1), dict[tuple[int, ...], int]()
    told: dict[tuple[int, ...], float] = {}
    draws = 20_000
    for _ in range(draws):
        choice = choose(SCORES, SCORES, similarity_of(vectors), 2, policy, rng.random(3))
        slate = tuple(choice.interests.tolist())
        seen[slate] = seen.get(slate, 0) + 1
        told[slate] = float(choice.propensities.prod())
    for slate, share_told in told.items():
        assert seen[slate] / draws == pytest.approx(share_told, abs=4.5 * (0.25 / draws) ** 0.5)
    assert sum(told.values()) == pytest.approx(1.0, abs=1e-9)


@given(
    st.lists(st.floats(-20, 0), min_size=1, max_size=12), st.integers(1, 8), st.integers(0, 99), st.booleans()
)
def test_each_is_chosen_once_with_a_probability(
    scores: list[float], count: int, seed: int, explores: bool
) -> None:
    size = len(scores)
    likeness = np.eye(size, dtype=np.float32)
    policy = Policy(0.5, 1.0, 0.3)
    choice = choose(
        np.array(scores), np.array(scores), likeness, count, policy, uniforms(count, seed, explores)
    )
    assert len(set(choice.interests.tolist())) == len(choice.interests) == min(count, size)
    assert (choice.propensities > 0).all()
    assert (choice.propensities <= 1 + 1e-12).all()
    assert choice.explored == explores


def test_long_lists_of_many_keep_their_probabilities() -> None:
    size = 2000
    scores = np.log(np.random.default_rng(0).dirichlet(np.full(size, 0.05)) + 1e-300)
    likeness = np.eye(size, dtype=np.float32)
    for share in (0.1, 1.0):
        choice = choose(
            scores, scores, likeness, 100, Policy(share, 1.0, 0.0), uniforms(100, 3, share == 1.0)
        )
        assert len(choice.interests) == 100
        assert (choice.propensities > 0).all()
        assert np.isfinite(choice.propensities).all()


@given(
    st.lists(st.one_of(st.floats(-8, 0), st.just(-np.inf)), min_size=1, max_size=8),
    st.floats(0, 1),
    st.floats(0.1, 3),
    st.integers(0, 1000),
)
def test_chances_of_the_first_place_are_its_propensities(
    scores: list[float], share: float, temperature: float, seed: int
) -> None:
    found, policy = np.array(scores), Policy(share, temperature, 0.4)
    chances = first_place_probabilities(found, policy)
    alone = np.eye(len(found), dtype=np.float32)
    choice = choose(found, found, alone, 1, policy, np.random.default_rng(seed).random(2))
    assert chances.sum() == pytest.approx(1.0 if len(choice.interests) else 0.0)
    assert not chances[np.isneginf(found)].any()
    for place, propensity in zip(choice.interests, choice.propensities, strict=True):
        assert chances[place] == pytest.approx(propensity)
