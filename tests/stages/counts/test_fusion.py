"""Which scores enter the mixture: those that held-out transitions can tell from nothing."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.core.types import CONTENT, EARLIER_ITEMS, ENGAGED_ITEMS, TEXT_INTERESTS, TEXT_ITEMS, Fusion
from freshet.stages.counts import (
    COUNTS,
    FUSED,
    PLANNER,
    SEQUENCE,
    Blocks,
    Held,
    fit,
    fuse,
    log_likelihood,
    weigh,
)
from freshet.stages.counts import fusion as fusing

N, ROWS = 6, 1500
BOTH = (COUNTS, SEQUENCE)
NEAR = (COUNTS, *CONTENT)
ALL = (*FUSED, *CONTENT)


def held(truth: dict[str, float], names: tuple[str, ...], seed: int = 0, rows: int = ROWS) -> Held:
    """Transitions drawn from a weighed sum of scores; the scores that aren't in it say nothing."""
    random = np.random.default_rng(seed)
    scores = {name: random.normal(size=(rows, N)) for name in FUSED}
    cosines = np.random.default_rng([seed, 1])
    scores |= {name: 0.3 * cosines.normal(size=(rows, N)) for name in CONTENT}
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
    kept = [place for place in range(part.features.shape[1]) if place != 1]
    return Held(part.features[:, kept], part.known, part.successor, part.user)


def loss(fusion: Fusion, names: tuple[str, ...], part: Held) -> float:
    """What a fusion makes worse on transitions that it was not fitted on, in nats; negative = better."""
    used = fusion.used
    weights = dict(zip(used.names, used.weights.tolist(), strict=True)) if used else {COUNTS: 1.0}
    mixed = log_likelihood(part, np.array([weights.get(name, 0.0) for name in names]))
    return float((log_likelihood(part, np.eye(len(names))[0]) - mixed).mean())


def test_what_helps_is_used_and_what_does_not_is_left_out() -> None:
    parts = [held({COUNTS: 1.0, PLANNER: 0.8}, FUSED, seed=seed) for seed in (1, 2)]
    fusion = fuse(blocks(*map(without_planner, parts)), blocks(*parts), BOTH)
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
    fusion = fuse(blocks(*map(without_planner, parts)), blocks(*parts), BOTH)
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
    fusion, alone = fuse(rest, sample, BOTH), fuse(rest, None, BOTH)
    assert fusion.used is not None
    assert alone.used is not None
    assert fusion.used.names == alone.used.names == names
    np.testing.assert_array_equal(fusion.used.weights, alone.used.weights)
    assert fusion.used.examples == 2 * ROWS


@pytest.mark.parametrize("names", [(COUNTS,), BOTH, NEAR, (*BOTH, *CONTENT)])
def test_planners_on_top_of_what_was_weighed_once_are_as_if_each_were_alone(names: tuple[str, ...]) -> None:
    truth = {COUNTS: 0.8, SEQUENCE: 0.6, TEXT_ITEMS: 2.0, PLANNER: 0.5}
    told = (COUNTS, PLANNER, *names[1:])
    samples = [
        blocks(*(held(truth, told, seed=seed, rows=300) for seed in (few, few + 1))) for few in (60, 70)
    ]
    rest = blocks(*(held(truth, names, seed=seed) for seed in (60, 61)))
    once = weigh(rest, names)
    for sample in (*samples, None):
        shared, alone = once.fused(sample), fuse(rest, sample, names)
        for one, other in ((shared.fitted, alone.fitted), (shared.used, alone.used)):
            assert (one is None) == (other is None)
            if one is not None and other is not None:
                assert one.as_dict() == other.as_dict()
        assert (shared.margin, shared.parts) == (alone.margin, alone.parts)


def test_weights_of_a_fold_are_those_fitted_on_the_others() -> None:
    names = (*BOTH, *CONTENT)
    parts = [held({COUNTS: 0.8, SEQUENCE: 0.6, TEXT_ITEMS: 2.0}, names, seed=seed) for seed in (80, 81, 82)]
    weighed = weigh(blocks(*parts), names)
    assert weighed.used.names == names
    for fold in range(3):
        others = parts[:fold] + parts[fold + 1 :]
        np.testing.assert_array_equal(weighed.by_fold[fold], fusing._weights(names, others, parts))
    assert not np.array_equal(weighed.by_fold[0], weighed.by_fold[1])


def test_counts_may_win_alone() -> None:
    names = (COUNTS, SEQUENCE)
    fusion = fuse(blocks(*(held({COUNTS: 1.0}, names, seed=seed) for seed in (10, 11))), None, BOTH)
    assert (fusion.used, fusion.margin) == (None, None)
    assert fusion.fitted.low[1] <= 0
    assert fusion.parts[COUNTS][2] > 0  # not shown to better counts where it was not weighed


@pytest.mark.parametrize(("longer", "part"), [(COUNTS, COUNTS), (SEQUENCE, SEQUENCE)])
def test_a_mixture_that_loses_to_a_part_of_it_elsewhere_is_not_used(longer: str, part: str) -> None:
    """Each fold misleads about the other; the part that does better over both goes alone."""
    names = (COUNTS, SEQUENCE)
    rows = {name: 3 * ROWS if name == longer else ROWS for name in names}
    folds = (held({name: 3.0}, names, seed=12 + place, rows=rows[name]) for place, name in enumerate(names))
    fusion = fuse(blocks(*folds), None, BOTH)
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
    fusion = fuse(blocks(*rest), blocks(*parts))
    assert fusion.used is not None
    np.testing.assert_allclose(fusion.used.weights, fit(names, parts).weights)


def test_the_planners_gain_is_told_where_it_was_not_weighed() -> None:
    """A planner that says nothing gains nothing: weighed where it is judged, it would seem to gain a little."""
    gains = []
    for seed in range(12):
        parts = [held({COUNTS: 1.0}, (COUNTS, PLANNER), seed=100 + 10 * seed + i, rows=60) for i in range(3)]
        rest = [Held(part.features[:, :1], part.known, part.successor, part.user) for part in parts]
        fusion = fuse(blocks(*rest), blocks(*parts))
        assert fusion.margin is not None
        gains.append(fusion.margin[0])
    assert np.mean(gains) > 0  # it costs, if anything


def test_a_planner_is_weighed_on_top_of_what_is_used() -> None:
    """Where the sequence score goes alone, the planner joins that, not a mixture that is not used."""
    truth = [{COUNTS: sign * 2.0, SEQUENCE: 1.0, PLANNER: 0.8} for sign in (1, -1)]
    parts = [held(one, FUSED, seed=30 + i) for i, one in enumerate(truth)]
    fusion = fuse(blocks(*map(without_planner, parts)), blocks(*parts), BOTH)
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
    fusion = fuse(blocks(*rest), blocks(*parts))
    assert fusion.parts[PLANNER][1] > 0
    assert fusion.used is not None
    assert fusion.used.weights.tolist() == [0.0, 1.0]


def test_content_that_tells_what_comes_next_is_used_and_weighed() -> None:
    truth = {COUNTS: 1.0, TEXT_ITEMS: 2.0, ENGAGED_ITEMS: 1.0}
    parts = [held(truth, NEAR, seed=seed) for seed in (40, 41)]
    fusion = fuse(blocks(*parts), None, NEAR)
    assert fusion.used is not None
    assert fusion.content is not None
    assert fusion.used.names == fusion.content.names == NEAR
    np.testing.assert_allclose(fusion.used.weights, [truth.get(name, 0.0) for name in NEAR], atol=0.25)
    assert fusion.content_margin is not None
    assert fusion.content_margin[2] < 0  # it lowers the loss
    other = held(truth, NEAR, seed=42)
    assert loss(fusion, NEAR, other) == pytest.approx(fusion.content_margin[0], abs=0.05)
    assert fusion.without_context is None


def test_content_joins_what_is_used_of_counts_and_sequence_model() -> None:
    names = (*BOTH, *CONTENT)
    truth = {COUNTS: 1.0, SEQUENCE: 0.7, TEXT_INTERESTS: -1.5}
    fusion = fuse(blocks(*(held(truth, names, seed=seed) for seed in (43, 44))), None, names)
    assert fusion.used is not None
    assert fusion.used.names == names
    np.testing.assert_allclose(fusion.used.weights, [truth.get(name, 0.0) for name in names], atol=0.25)
    assert fusion.fitted.names == BOTH  # the sequence model's own weight, beside the counts
    useless = {COUNTS: 1.0, TEXT_INTERESTS: -1.5}
    fusion = fuse(blocks(*(held(useless, names, seed=seed) for seed in (45, 46))), None, names)
    assert fusion.used is not None
    assert fusion.used.names == NEAR


def test_content_that_says_nothing_costs_little_and_is_not_praised() -> None:
    """With few transitions its weights are chance; belief in small ones keeps that cheap."""
    costs, plain, claimed = [], [], 0
    for seed in range(20):
        parts = [held({COUNTS: 1.0}, NEAR, seed=200 + 10 * seed + i, rows=100) for i in range(3)]
        other = held({COUNTS: 1.0}, NEAR, seed=209 + 10 * seed, rows=600)
        fusion = fuse(blocks(*parts), None, NEAR)
        assert fusion.content_margin is not None
        claimed += fusion.content_margin[2] < 0
        costs.append(loss(fusion, NEAR, other))
        free = fit(NEAR, parts)
        plain.append(loss(Fusion(free, free, None, {}), NEAR, other))
    assert claimed == 0
    assert np.mean(costs) < 0.008
    assert max(costs) < 0.03
    assert np.mean(costs) < np.mean(plain)  # what the same weights cost without that belief


def test_weights_of_few_transitions_are_small() -> None:
    """They grow to what they are as transitions come in."""
    names, truth = (COUNTS, TEXT_ITEMS), {COUNTS: 1.0, TEXT_ITEMS: 3.0}
    mean = []
    for rows in (15, 100, 1500):
        found = [
            fuse(blocks(*(held(truth, names, 400 + 10 * seed + i, rows) for i in range(2))), None, names)
            for seed in range(8)
        ]
        mean.append(float(np.mean([f.content.weights[1] for f in found if f.content is not None])))
    assert 0 < mean[0] < mean[1] < mean[2]
    assert mean[0] < 2.3
    assert mean[2] == pytest.approx(3.0, abs=0.2)


def test_content_that_misleads_from_time_to_time_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it says in some folds is wrong in the others: the gate that sees that leaves it out."""
    signs = (1, 1, -1, -1)
    parts = blocks(*(held({COUNTS: 1.0, TEXT_ITEMS: 4.0 * s}, NEAR, 50 + i) for i, s in enumerate(signs)))
    fusion = fuse(parts, None, NEAR, parts)
    assert fusion.used is None
    assert fusion.without_context is None
    assert fusion.content_margin is not None
    assert fusion.content_margin[1] > 0
    monkeypatch.setattr(fusing, "_content_margin", lambda *_: ((-1.0, -2.0, 0.0), {}))
    open_gate = fuse(parts, None, NEAR, parts)
    assert open_gate.used is not None  # else nothing is tested above
    assert open_gate.used.names == NEAR
    assert open_gate.without_context is not None


def test_a_planner_is_weighed_on_top_of_content() -> None:
    """As all of it was drawn; a planner that repeats what content says adds nothing."""
    names = (*BOTH, *CONTENT)
    truth = {COUNTS: 1.0, PLANNER: 0.8, SEQUENCE: 0.6, TEXT_ITEMS: 2.0}
    parts = [held(truth, ALL, seed=seed) for seed in (60, 61, 62)]
    fusion = fuse(blocks(*map(without_planner, parts)), blocks(*parts), names)
    assert fusion.used is not None
    assert fusion.used.names == ALL
    np.testing.assert_allclose(fusion.used.weights, [truth.get(name, 0.0) for name in ALL], atol=0.3)
    assert fusion.margin is not None
    assert fusion.margin[2] < 0
    order = (COUNTS, PLANNER, *CONTENT)
    echoes = []
    for seed in (63, 64, 65):
        part = held({COUNTS: 1.0, TEXT_ITEMS: 2.0}, order, seed=seed)
        part.features[:, 1] = part.features[:, 2]
        echoes.append(part)
    fusion = fuse(blocks(*map(without_planner, echoes)), blocks(*echoes), NEAR)
    assert fusion.used is not None
    assert fusion.used.names == NEAR
    assert fusion.margin is not None
    assert fusion.margin[2] > 0


def test_what_is_used_of_content_does_not_depend_on_what_the_planner_was_asked() -> None:
    rest = blocks(*(held({COUNTS: 1.0, TEXT_ITEMS: 2.0}, NEAR, seed=seed) for seed in (66, 67)))
    sample = blocks(
        *(held({COUNTS: 1.0}, (COUNTS, PLANNER, *CONTENT), seed=seed, rows=100) for seed in (68, 69))
    )
    fusion, alone = fuse(rest, sample, NEAR), fuse(rest, None, NEAR)
    assert fusion.used is not None
    assert alone.used is not None
    assert fusion.used.names == alone.used.names == NEAR
    np.testing.assert_array_equal(fusion.used.weights, alone.used.weights)
    assert fusion.content_margin == alone.content_margin


def test_users_without_recent_interests_have_weights_of_their_own() -> None:
    """For their items alone, where enough of them are held out."""
    rest = blocks(*(held({COUNTS: 1.0}, NEAR, seed=seed) for seed in (70, 71)))
    truth = {COUNTS: 0.5, TEXT_ITEMS: 2.0}
    parts = [held(truth, NEAR, seed=seed, rows=600) for seed in (72, 73)]
    for part in parts:
        part.features[:, 2::2] = 0  # no recent interest, no feature of theirs
    found = fuse(rest, None, NEAR, blocks(*parts)).without_context
    assert found is not None
    assert found.names == (COUNTS, TEXT_ITEMS, ENGAGED_ITEMS, EARLIER_ITEMS)
    np.testing.assert_allclose(found.weights, [0.5, 2.0, 0.0, 0.0], atol=0.4)
    few = blocks(held(truth, NEAR, seed=74, rows=19))
    assert fuse(rest, None, NEAR, few).without_context is None
    assert fuse(rest, None, NEAR, Blocks()).without_context is None


def test_of_too_few_transitions_counts_alone_are_used() -> None:
    """A small log goes without what can't be weighed; one transition more, and it is weighed."""
    names = (COUNTS, SEQUENCE, TEXT_ITEMS)
    truth = {COUNTS: 0.3, SEQUENCE: 3.0}
    fusion = fuse(blocks(held(truth, names, 80, 10), held(truth, names, 81, 9)), None, names)
    assert (fusion.used, fusion.content, fusion.content_margin, fusion.parts) == (None, None, None, {})
    fusion = fuse(blocks(held(truth, names, 80, 10), held(truth, names, 81, 10)), None, names)
    assert fusion.parts.keys() == {COUNTS, SEQUENCE}
    assert fusion.content is not None
