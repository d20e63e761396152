"""Which scores enter the mixture: those that held-out transitions can tell from nothing."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.stages.counts import COUNTS, FUSED, PLANNER, SEQUENCE, Blocks, Held, fit, fuse

N, ROWS = 6, 1500


def held(truth: dict[str, float], names: tuple[str, ...], seed: int = 0, rows: int = ROWS) -> Held:
    """Transitions drawn from a weighed sum of scores; the scores that aren't in it say nothing."""
    random = np.random.default_rng(seed)
    scores = {name: random.normal(size=(rows, N)) for name in FUSED}
    total = sum(weight * scores[name] for name, weight in truth.items())
    shares = np.exp(total) / np.exp(total).sum(axis=1, keepdims=True)
    successor = np.array([random.choice(N, p=share) for share in shares])
    features = np.stack([scores[name] for name in names], axis=1).astype(np.float32)
    user = (np.arange(rows) // 3 + 10_000 * seed).astype(np.uint64)
    return Held(features, np.zeros((rows, N), bool), successor.astype(np.int16), user)


def blocks(*parts: Held) -> Blocks:
    """One fold each."""
    found = Blocks()
    for fold, part in enumerate(parts):
        found.add(fold, part)
    return found


def without_planner(part: Held) -> Held:
    return Held(part.features[:, [0, 2]], part.known, part.successor, part.user)


def test_what_helps_is_used_and_what_does_not_is_left_out() -> None:
    parts = [held({COUNTS: 1.0, PLANNER: 0.8}, FUSED, seed=seed) for seed in (1, 2)]
    fusion = fuse(blocks(*map(without_planner, parts)), blocks(*parts), sequence=True)
    assert fusion.fitted.names == FUSED
    assert fusion.fitted.low[2] <= 0
    assert fusion.used is not None
    assert fusion.used.names == (COUNTS, PLANNER)
    np.testing.assert_allclose(fusion.used.weights, [1.0, 0.8], atol=0.1)
    assert fusion.margin is not None
    value, low, high = fusion.margin
    assert low < value < high < 0  # the planner lowers the loss, beside all else


def test_all_three_are_weighed_as_they_were_drawn() -> None:
    truth = {COUNTS: 1.0, PLANNER: 0.8, SEQUENCE: 0.6}
    parts = [held(truth, FUSED, seed=seed) for seed in (3, 4, 5)]
    fusion = fuse(blocks(*map(without_planner, parts)), blocks(*parts), sequence=True)
    assert fusion.used is not None
    assert fusion.used.names == FUSED
    np.testing.assert_allclose(fusion.used.weights, list(truth.values()), atol=0.15)
    assert (fusion.used.low < fusion.used.weights).all()
    assert (fusion.used.weights < fusion.used.high).all()


def test_without_the_planner_the_rest_does_not_depend_on_what_the_planner_was_asked() -> None:
    """Arms with a planner that is left out and arms without one are the same arm."""
    names = (COUNTS, SEQUENCE)
    rest = blocks(*(held({COUNTS: 1.0, SEQUENCE: 0.7}, names, seed=seed) for seed in (6, 7)))
    sample = blocks(*(held({COUNTS: 1.0}, FUSED, seed=seed, rows=100) for seed in (8, 9)))
    fusion, alone = fuse(rest, sample, sequence=True), fuse(rest, None, sequence=True)
    assert fusion.used is not None
    assert alone.used is not None
    assert fusion.used.names == alone.used.names == names
    np.testing.assert_array_equal(fusion.used.weights, alone.used.weights)
    assert fusion.used.examples == 2 * ROWS


def test_counts_may_win_alone() -> None:
    names = (COUNTS, SEQUENCE)
    fusion = fuse(blocks(*(held({COUNTS: 1.0}, names, seed=seed) for seed in (10, 11))), None, sequence=True)
    assert (fusion.used, fusion.margin) == (None, None)
    assert fusion.fitted.low[1] <= 0
    assert fusion.parts[COUNTS][2] > 0  # not shown to better counts where it was not weighed


@pytest.mark.parametrize(("longer", "part"), [(COUNTS, COUNTS), (SEQUENCE, SEQUENCE)])
def test_a_mixture_that_loses_to_a_part_of_it_elsewhere_is_not_used(longer: str, part: str) -> None:
    """Each fold misleads about the other; the part that does better over both goes alone."""
    names = (COUNTS, SEQUENCE)
    rows = {name: 3 * ROWS if name == longer else ROWS for name in names}
    folds = (held({name: 3.0}, names, seed=12 + place, rows=rows[name]) for place, name in enumerate(names))
    fusion = fuse(blocks(*folds), None, sequence=True)
    assert float(fusion.fitted.low[1]) > 0  # over both folds its weight is above zero
    assert fusion.parts[part][1] > 0  # but weighed on the one, the mixture loses on the other
    if part == COUNTS:
        assert fusion.used is None
    else:
        assert fusion.used is not None
        assert fusion.used.weights.tolist() == [0.0, 1.0]


@pytest.mark.parametrize("seed", [0, 1])
def test_counts_and_planner_alone_are_fitted_as_one_mixture(seed: int) -> None:
    names = (COUNTS, PLANNER)
    parts = [held({COUNTS: 1.0, PLANNER: 0.8}, names, seed=2 * seed + part) for part in (20, 21)]
    rest = [Held(part.features[:, :1], part.known, part.successor, part.user) for part in parts]
    fusion = fuse(blocks(*rest), blocks(*parts), sequence=False)
    assert fusion.used is not None
    np.testing.assert_allclose(fusion.used.weights, fit(names, parts).weights)


def test_the_planners_gain_is_told_where_it_was_not_weighed() -> None:
    """A planner that says nothing gains nothing: weighed where it is judged, it would seem to gain a little."""
    gains = []
    for seed in range(12):
        parts = [held({COUNTS: 1.0}, (COUNTS, PLANNER), seed=100 + 10 * seed + i, rows=60) for i in range(3)]
        rest = [Held(part.features[:, :1], part.known, part.successor, part.user) for part in parts]
        fusion = fuse(blocks(*rest), blocks(*parts), sequence=False)
        assert fusion.margin is not None
        gains.append(fusion.margin[0])
    assert np.mean(gains) > 0  # it costs, if anything


def test_a_planner_is_weighed_on_top_of_what_is_used() -> None:
    """Where the sequence score goes alone, the planner joins that, not a mixture that is not used."""
    truth = [{COUNTS: sign * 2.0, SEQUENCE: 1.0, PLANNER: 0.8} for sign in (1, -1)]
    parts = [held(one, FUSED, seed=30 + i) for i, one in enumerate(truth)]
    fusion = fuse(blocks(*map(without_planner, parts)), blocks(*parts), sequence=True)
    assert fusion.parts[SEQUENCE][1] > 0
    assert fusion.used is not None
    assert fusion.used.names == FUSED
    assert fusion.used.weights[0] == 0.0
    alone = [Held(part.features[:, [2, 1]], part.known, part.successor, part.user) for part in parts]
    left, planner = fit((SEQUENCE, PLANNER), alone).weights
    np.testing.assert_allclose(fusion.used.weights[1:], [planner, left], rtol=1e-5)


def test_a_mixture_that_loses_to_the_planner_gives_way_to_it() -> None:
    """Counts point the other way in each fold; only the planner holds."""
    names = (COUNTS, PLANNER)
    parts = [held({COUNTS: sign * 2.0, PLANNER: 1.0}, names, seed=40 + i) for i, sign in enumerate((1, -1))]
    rest = [Held(part.features[:, :1], part.known, part.successor, part.user) for part in parts]
    fusion = fuse(blocks(*rest), blocks(*parts), sequence=False)
    assert fusion.parts[PLANNER][1] > 0
    assert fusion.used is not None
    assert fusion.used.weights.tolist() == [0.0, 1.0]
