"""How effects and intervals are worded."""

from __future__ import annotations

import math

import pytest

from freshet.report.experiment_summary import detectable, span


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        ((-0.123, 0.05), "−12.3 % to +5.00 %"),
        ((0.2, math.inf), "+20.0 % or more"),
        ((0.2, None), "+20.0 % or more"),
        ((-1.0, math.inf), "unbounded"),
        ((-math.inf, math.inf), "unbounded"),
        ((None, None), "unbounded"),
        ((math.nan, math.nan), "unbounded"),
    ],
)
def test_an_interval_may_have_one_end(interval: tuple[float | None, float | None], words: str) -> None:
    assert span(interval).replace("\u202f", " ") == words


@pytest.mark.parametrize("effect", [None, math.nan, math.inf])
def test_where_no_effect_could_be_found_it_says_so(effect: float | None) -> None:
    assert detectable(effect) == "no effect of any size"
    assert detectable(0.0123).replace("\u202f", " ") == "1.23 %"
