"""Moves, and what an overlay should make of them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from freshet.core.types import TRANSITION
from freshet.stages.live import Overlay, Settings

DAY = 86_400_000_000
START = 20_000 * DAY
SIZE = 5
SETTINGS = Settings((1.0, 7.0), 1 / 24, user_cap=20, most_lift=10.0, pseudo=30.0)

Move = tuple[int, int, int, int]

moves_of = st.lists(
    st.tuples(
        st.integers(START, START + 90 * DAY),
        st.integers(0, 2**64 - 1),
        st.integers(-1, SIZE - 1),
        st.integers(-1, SIZE - 1),
    ),
    max_size=30,
)
"""Any moves of 90 days, which is far more than the landmarks of the shorter half-lives reach."""


def records(moves: Sequence[Move]) -> NDArray[np.void]:
    """Moves as they come from a journal or a log."""
    return np.array(list(moves), TRANSITION)


def crowd(people: int, successor: int, time: int, *, first: int = 0, last: int = -1) -> NDArray[np.void]:
    """As many people moving on to one interest, a second apart."""
    return records([(time + i * 1_000_000, first + i, last, successor) for i in range(people)])


def weighted(overlay: Overlay) -> Overlay:
    """The overlay with some weights."""
    return overlay.weighted(np.array([0.5, 1.0, 0.7]))


def fresh(settings: Settings = SETTINGS) -> Overlay:
    """An overlay that has counted nothing."""
    return weighted(Overlay.empty(settings, SIZE, START))
