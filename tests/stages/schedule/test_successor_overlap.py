"""Overlap beside its null, on worlds in which it is known whether anything drifts."""

from __future__ import annotations

import numpy as np
import pytest

from freshet.stages.schedule.successor_overlap import ContextTransitions, Overlap, overlaps, pooled

EDGES = [0, 28, 56]
INTERESTS = 12


def planted(
    seed: int, *, drifts: bool, users: int = 600, rows: int = 5000, loyal: float = 0.0
) -> ContextTransitions:
    """Successors drawn from one fixed world, or from another one after day 28.

    With probability `loyal` a user takes the one successor that is theirs, so that a user's rows agree.
    """
    rng = np.random.default_rng([seed, 7])
    odds = rng.dirichlet(np.full(INTERESTS, 0.5), (2, INTERESTS))  # (before and after, last, successor)
    user = rng.integers(0, users, rows)
    day = rng.integers(0, 56, rows)
    last = rng.integers(0, INTERESTS, rows)
    reach = odds[((day >= 28) & drifts).astype(int), last].cumsum(axis=1)
    successor = np.minimum((rng.random(rows)[:, None] > reach).sum(axis=1), INTERESTS - 1)
    own = rng.integers(0, INTERESTS, users)
    successor = np.where(rng.random(rows) < loyal, own[user], successor)
    return ContextTransitions(
        user.astype(np.uint64), day.astype(np.int32), last.astype(np.int16), successor.astype(np.int16)
    )


def compared(moves: ContextTransitions, **options: int) -> Overlap:
    (found,) = overlaps(moves, EDGES, interests=INTERESTS, **options)
    return found


def test_without_drift_the_overlap_looks_like_its_null() -> None:
    found = [compared(planted(seed, drifts=False), permutations=50, seed=seed) for seed in range(30)]
    gaps = [overlap.observed - overlap.expected for overlap in found]
    assert abs(np.mean(gaps)) < 0.03
    assert np.mean([overlap.p_value <= 0.05 for overlap in found]) <= 0.15


def test_an_abrupt_change_lies_far_below_the_null() -> None:
    found = compared(planted(1, drifts=True))
    assert found.contexts == INTERESTS
    assert found.observed < found.band[0] - 0.2
    assert found.p_value == pytest.approx(1 / 101)


def test_users_who_repeat_themselves_are_not_taken_for_stability_or_drift() -> None:
    """Few users who each say the same again and again: shuffling rows instead of blocks would see drift."""
    worlds = [planted(seed, drifts=False, users=60, rows=4000, loyal=0.8) for seed in range(20)]
    # each user lives in one window only, so that the two windows differ by who was there
    split = [
        ContextTransitions(w.user, (w.user % 2 * 28).astype(np.int32), w.context, w.successor) for w in worlds
    ]
    found = [compared(world, permutations=50, seed=seed) for seed, world in enumerate(split)]
    assert np.mean([overlap.p_value <= 0.05 for overlap in found]) <= 0.2
    by_rows = [
        compared(
            ContextTransitions(np.arange(len(w.user), dtype=np.uint64), w.day, w.context, w.successor),
            permutations=50,
        )
        for w in split
    ]
    assert np.mean([overlap.p_value <= 0.05 for overlap in by_rows]) >= 0.8


def test_small_counts_overlap_little_without_any_drift() -> None:
    """What makes the null necessary: the same world, observed thinly."""
    thick, thin = (compared(planted(3, drifts=False, rows=rows), min_support=5) for rows in (20_000, 400))
    assert thin.observed < thick.observed - 0.2
    assert thin.band[0] <= thin.observed <= thin.band[1]


def test_support_is_needed_in_both_windows() -> None:
    world = planted(4, drifts=False)
    late_only = (world.context == 0) & (world.day < 28)
    moves = ContextTransitions(
        world.user[~late_only], world.day[~late_only], world.context[~late_only], world.successor[~late_only]
    )
    assert compared(moves).contexts == INTERESTS - 1
    assert compared(moves, min_support=10_000).contexts == 0


def test_nothing_to_compare_is_no_finding() -> None:
    found = compared(planted(5, drifts=False), min_support=10_000)
    assert np.isnan(found.observed)
    assert np.isnan(found.expected)
    assert found.p_value == 1.0
    assert np.isnan(pooled([found])[0])


def test_users_without_a_last_interest_do_not_count() -> None:
    world = planted(6, drifts=False)
    nobody = ContextTransitions(world.user, world.day, np.full_like(world.context, -1), world.successor)
    assert compared(nobody).contexts == 0


def test_the_same_seed_gives_the_same_figures() -> None:
    world = planted(7, drifts=True)
    first, again, other = (compared(world, seed=seed) for seed in (1, 1, 2))
    assert np.array_equal(first.null, again.null)
    assert not np.array_equal(first.null, other.null)


def test_pooled_is_the_mean_over_comparisons() -> None:
    world = planted(8, drifts=True)
    found = overlaps(world, [0, 14, 28, 42, 56], interests=INTERESTS)
    observed, null = pooled(found)
    assert len(found) == 3
    assert observed == pytest.approx(np.mean([overlap.observed for overlap in found]))
    assert null.mean() == pytest.approx(np.mean([overlap.expected for overlap in found]))
    # only the middle comparison spans the change
    assert found[1].observed < min(found[0].observed, found[2].observed) - 0.2


def test_nulls_of_unequal_length_are_pooled_over_the_draws_all_have() -> None:
    short = Overlap(0, 1, 2, 3, 0.2, np.array([0.4, 0.6]))
    long = Overlap(1, 2, 3, 3, 0.4, np.array([0.2, 0.4, 0.9]))
    observed, null = pooled([short, long])
    assert observed == pytest.approx(0.3)
    np.testing.assert_allclose(null, [0.3, 0.5])
