"""The scale on which control and treatment are alike."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from freshet.experiments import Moments, balanced, effect, relatives_of

COUNTS = st.lists(st.integers(0, 9), min_size=2, max_size=30).filter(lambda y: sum(y) > 0 and len(set(y)) > 1)


@given(COUNTS, COUNTS)
def test_it_is_the_relative_effect_told_otherwise(control: list[int], treatment: list[int]) -> None:
    found = effect(Moments.of(control), Moments.of(treatment))
    s, variance = balanced(found)
    assert relatives_of(np.array([s]), [found]) == pytest.approx([found.relative.value], abs=1e-9)
    assert variance > 0
    around = relatives_of(s + np.array([-0.1, 0.0, 0.1]), [found] * 3)
    assert around == sorted(around)


@given(COUNTS, COUNTS)
def test_arms_are_alike(control: list[int], treatment: list[int]) -> None:
    """Swapped, the effect is the opposite, and known as well."""
    a, b = Moments.of(control), Moments.of(treatment)
    forth, back = balanced(effect(a, b)), balanced(effect(b, a))
    assert forth[0] == pytest.approx(-back[0])
    assert forth[1] == pytest.approx(back[1])


def test_an_arm_with_next_to_nothing_is_not_known_well() -> None:
    """By the delta method at the effect found, its variance would be next to nothing as well."""
    found = effect(Moments.of([1.0] * 5 + [0.0] * 95), Moments.of([0.1] + [0.0] * 99))
    s, variance = balanced(found)
    assert variance == pytest.approx(found.absolute.variance / 0.0255**2)
    assert abs(s) / math.sqrt(variance) < 2.5 < abs(found.relative.value) / math.sqrt(found.relative.variance)


def test_nothing_to_compare_is_unbounded() -> None:
    for control, treatment in (([0.0, 0.0], [0.0, 0.0]), ([0.0, 0.0], [0.0, 1.0]), ([1.0], [1.0, 2.0])):
        assert balanced(effect(Moments.of(control), Moments.of(treatment)))[1] in (math.inf, None)
    some = effect(Moments.of([0.0, 1.0]), Moments.of([0.0, 2.0]))
    assert relatives_of(np.array([-math.inf, -3.0, 3.0, math.inf]), [some] * 4) == [
        -math.inf,
        -1,
        math.inf,
        math.inf,
    ]
