"""The planner as a feature: exact rows, honest residuals, fall-backs, and a weight it has to earn."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from freshet.core.types import Context, PlannerRows, ShortLists, Transitions, pack_contexts
from freshet.stages.counts import PLANNER, CountModel, PlannerScores, Scorer, fit, held_by_all, log_softmax
from freshet.stages.inference.sampling import contexts_of
from tests.stages.counts.worlds import sums, users

N = 5
M = 3


def rows(answers: dict[Context, dict[int, float]], k: int) -> PlannerRows:
    """Planner rows from context -> {successor: probability}, best first."""
    successors = np.full((len(answers), M), -1, np.int16)
    logp = np.full((len(answers), M), -np.inf, np.float32)
    for row, answer in enumerate(answers.values()):
        for place, (successor, share) in enumerate(answer.items()):
            successors[row, place], logp[row, place] = successor, np.log(share)
    contexts = pack_contexts(list(answers), k)
    zeros = np.zeros(len(answers), np.int32)
    return PlannerRows(contexts, np.zeros((len(answers), 16), np.uint8), successors, logp, zeros, ("t",))


COUNTS = np.array([[0.1, 0.2, 0.3, 0.15, 0.25]])


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("context", [(4,), (3, 4)])
def test_a_user_with_just_one_context_gets_its_row_exactly(k: int, context: Context) -> None:
    if len(context) > k:
        context = context[-k:]
    planner = PlannerScores(rows({context: {0: 0.5, 2: 0.3, 1: 0.2}, (1,): {3: 1.0}}, k), N)
    feature = np.exp(planner.feature(users(context), COUNTS)[0].astype(np.float64))
    np.testing.assert_allclose(feature[:3], [0.5, 0.2, 0.3], rtol=1e-5)
    np.testing.assert_allclose(feature[3:], 0.0, atol=1e-8)


def test_residual_mass_is_spread_by_counts() -> None:
    planner = PlannerScores(rows({(4,): {0: 0.4, 2: 0.2}}, 2), N)
    feature = np.exp(planner.feature(users((4,)), COUNTS)[0].astype(np.float64))
    rest = np.array([0.0, 0.2, 0.0, 0.15, 0.25])
    np.testing.assert_allclose(feature, np.array([0.4, 0, 0.2, 0, 0]) + 0.4 * rest / rest.sum(), rtol=1e-5)


def among_lists(answers: PlannerRows, *mass: float) -> PlannerRows:
    """The same rows, each chosen from a list of that share."""
    options, day = np.zeros((len(mass), 1), np.int16), np.zeros(len(mass), np.int32)
    return replace(answers, lists=ShortLists(options, np.array(mass, np.float32), day))


def test_a_short_list_gets_its_share_and_the_rest_goes_by_counts() -> None:
    answers = among_lists(rows({(4,): {0: 0.75, 2: 0.25}, (3,): {1: 1.0}}, 2), 0.6, 1.0)
    feature = np.exp(PlannerScores(answers, N).feature(users((4,), (3,)), np.repeat(COUNTS, 2, axis=0)))
    rest = np.array([0.0, 0.2, 0.0, 0.15, 0.25])
    expected = np.array([0.45, 0, 0.15, 0, 0]) + 0.4 * rest / rest.sum()
    np.testing.assert_allclose(feature[0], expected, rtol=1e-5)
    np.testing.assert_allclose(feature[1], [0, 1, 0, 0, 0], atol=1e-8)


def test_missing_and_failed_rows_fall_back_to_counts() -> None:
    planner = PlannerScores(rows({(4,): {}, (3,): {1: 1.0}}, 2), N)
    for recent in ((4,), (0,), (), (0, 1)):
        feature = np.exp(planner.feature(users(recent), COUNTS)[0].astype(np.float64))
        np.testing.assert_allclose(feature, COUNTS[0], rtol=1e-5)
    nothing = PlannerScores(rows({}, 2), N)
    np.testing.assert_allclose(np.exp(nothing.feature(users((4,)), COUNTS)), COUNTS, rtol=1e-5)


@pytest.mark.parametrize("k", [1, 2, 3])
def test_a_user_without_interests_gets_the_counts_even_if_a_row_exists(k: int) -> None:
    planner = PlannerScores(rows({(): {0: 0.5, 2: 0.3, 1: 0.2}}, k), N)
    feature = np.exp(planner.feature(users(()), COUNTS)[0].astype(np.float64))
    np.testing.assert_allclose(feature, COUNTS[0], rtol=1e-5)


def test_several_contexts_are_averaged_over_those_that_were_answered() -> None:
    answers: dict[Context, dict[int, float]] = {(1, 4): {0: 1.0}, (2, 4): {3: 1.0}, (4,): {2: 1.0}}
    planner = PlannerScores(rows(answers, 2), N)
    feature = np.exp(planner.feature(users((0, 1, 2, 4)), COUNTS)[0].astype(np.float64))
    np.testing.assert_allclose(feature, [0.5, 0, 0, 0.5, 0], atol=1e-6)  # (0, 4) has no row
    triple = PlannerScores(rows({**answers, (1, 2, 4): {2: 1.0}}, 3), N)
    feature = np.exp(triple.feature(users((1, 2, 4)), COUNTS)[0].astype(np.float64))
    np.testing.assert_allclose(feature, [1 / 3, 0, 1 / 3, 1 / 3, 0], atol=1e-6)


@pytest.mark.parametrize("k", [1, 2, 3])
@settings(deadline=None, max_examples=40)
@given(st.permutations(range(N)), st.integers(0, N))
def test_the_contexts_asked_for_are_exactly_those_looked_up(k: int, order: list[int], size: int) -> None:
    recent = tuple(order[:size])
    asked = contexts_of(recent, k)
    # every context asked for moves the score, and with all of them nothing else does
    everything = {
        context: {0: 0.9, 1: 0.1}
        for context in [(), *[(a,) for a in range(N)]]
        + ([(a, b) for a in range(N) for b in range(N) if a != b] if k > 1 else [])
        + ([tuple(order[i : i + 3]) for i in range(N - 2)] if k > 2 else [])
    }
    full = PlannerScores(rows(everything, k), N).feature(users(recent), COUNTS)
    only = PlannerScores(rows({c: everything[c] for c in sorted(asked)}, k), N).feature(users(recent), COUNTS)
    np.testing.assert_array_equal(full, only)
    for left_out in asked:
        different = {c: ({3: 1.0} if c == left_out else a) for c, a in everything.items()}
        changed = PlannerScores(rows(different, k), N).feature(users(recent), COUNTS)
        assert not np.array_equal(changed, full)


def world(seed: int, n: int = 1500) -> tuple[CountModel, Transitions, np.ndarray, np.ndarray]:
    """Choices by a truth that popularity can't see; returns counts, choices, truth (N, N) and count weights."""
    rng = np.random.default_rng(seed)
    truth = rng.dirichlet(np.full(N, 0.3), N)
    last = rng.integers(0, N, n)
    known = np.zeros((n, N), bool)
    known[np.arange(n), last] = True
    logp = log_softmax(np.log(truth[last] + 1e-6), known)
    chosen = np.array([rng.choice(N, p=np.exp(row) / np.exp(row).sum()) for row in logp], np.int16)
    held = Transitions.on_days(
        np.arange(n, dtype=np.uint64), np.zeros(n, np.int32), users(*[(int(i),) for i in last]), chosen, known
    )
    popularity = sums({((), i): float((chosen == i).sum()) for i in range(N)}, 0)
    return CountModel.build([popularity], [sums({}, 1)], N, (100.0,)), held, truth, np.array([1.0, 0.0, 0.0])


def weight_of(
    planner: PlannerRows, model: CountModel, held: Transitions, counts: np.ndarray
) -> tuple[float, float, float]:
    features = held_by_all(Scorer(model, counts, PlannerScores(planner, N)), held)
    mixture = fit(("counts", PLANNER), [features])
    return float(mixture.weights[-1]), float(mixture.low[-1]), float(mixture.high[-1])


def ranked(table: np.ndarray) -> PlannerRows:
    answers: dict[Context, dict[int, float]] = {}
    for last in range(N):
        best = [i for i in np.argsort(-table[last]) if i != last][:M]
        total = table[last].sum() - table[last, last]
        answers[(last,)] = {int(i): float(table[last, i] / total) for i in best}
    return rows(answers, 2)


def test_a_planner_that_knows_the_truth_gets_a_large_weight() -> None:
    model, held, truth, counts = world(1)
    weight, low, _ = weight_of(ranked(truth + 1e-6), model, held, counts)
    assert low > 0.5
    assert weight == pytest.approx(1.0, abs=0.3)


def test_a_planner_of_pure_noise_gets_a_weight_whose_interval_holds_zero() -> None:
    held_zero = 0
    for seed in range(8):
        model, held, _, counts = world(seed, 600)
        # choices are by popularity alone, so that the truth has nothing to tell either
        rng = np.random.default_rng(100 + seed)
        logp = log_softmax(model.features(held.recent)[:, 0].astype(np.float64), held.known)
        chosen = np.array([rng.choice(N, p=np.exp(row) / np.exp(row).sum()) for row in logp], np.int16)
        by_popularity = Transitions.on_days(held.user, held.day, held.recent, chosen, held.known)
        noise = ranked(rng.dirichlet(np.full(N, 0.5), N))
        weight, low, high = weight_of(noise, model, by_popularity, counts)
        assert abs(weight) < 0.5
        held_zero += low <= 0 <= high
    assert held_zero >= 6  # 8 intervals of 95 %: fewer than 6 has a chance below 1 %


def test_fused_scores_without_weight_for_the_planner_are_the_counts() -> None:
    model, held, truth, counts = world(2, 50)
    planner = PlannerScores(ranked(truth + 1e-6), N)
    scores = Scorer(model, counts, planner, np.array([1.0, 0.0]))(held.recent, held.known)
    np.testing.assert_allclose(scores.fused, scores.count, rtol=1e-6)
    assert scores.planner is not None
    np.testing.assert_allclose(np.exp(scores.planner).sum(axis=1), 1.0, rtol=1e-6)
    alone = Scorer(model, counts, planner, np.array([0.0, 1.0]))(held.recent, held.known)
    np.testing.assert_allclose(alone.fused, alone.planner, rtol=1e-6)


def test_relative_answers_are_multiplied_by_the_popularity_of_now() -> None:
    popularity = np.array([0.4, 0.1, 0.1, 0.2, 0.2])
    planner = PlannerScores(rows({(4,): {0: 0.4, 2: 0.3}}, 2), N, popularity)
    feature = np.exp(planner.feature(users((4,)), COUNTS)[0].astype(np.float64))
    expected = np.array([0.4, 0.1, 0.3, 0.1, 0.1]) * popularity  # what is left open is relative to it as well
    np.testing.assert_allclose(feature, expected / expected.sum(), rtol=1e-5)
    unknown = np.exp(planner.feature(users((0,)), COUNTS)[0].astype(np.float64))
    np.testing.assert_allclose(unknown, COUNTS[0], rtol=1e-5)
