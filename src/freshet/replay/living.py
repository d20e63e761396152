"""An arm's scores with live signals on top, each as of the moment at which it was asked for."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import BoolArray
from freshet.stages import counts, live
from freshet.stages.live.calibration import by_time, running


def with_live(
    logp: NDArray[np.float64],
    known: BoolArray,
    overlay: live.Overlay,
    moves: NDArray[np.void],
    asked: NDArray[np.void],
) -> NDArray[np.float64]:
    """(n, N) log-probabilities when the overlay has taken in the moves strictly before each transition.

    Args:
        logp: (n, N) without live signals.
        known: (n, N) what is no candidate.
        moves: everybody's, from the overlay's own moment on, in any order.
        asked: (n,) the transitions themselves, with their times.
    """
    order = np.argsort(asked["time"], kind="stable")
    bonus = np.empty(logp.shape)
    now = running(overlay, by_time(moves), asked[order])
    for row, move, ready in zip(order.tolist(), asked[order].tolist(), now, strict=True):
        time, _, last, _ = move
        bonus[row] = ready.bonus(last, time)
    return counts.log_softmax(np.where(known, 0.0, logp) + bonus, known)
