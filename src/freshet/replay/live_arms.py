"""Arms that take in every event at once: scores with live signals on top, and popularity up to the second."""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from freshet.core.time import DAY
from freshet.core.types import AsOf, BoolArray, Transitions
from freshet.stages import counts, live
from freshet.stages.counts.fitter import CountFitter
from freshet.stages.live.calibration import by_time
from freshet.stages.transitions import TransitionLog

LIVE_HALF_LIVES = tuple(2.0 ** (power / 2) for power in range(-8, 5))
"""Half-lives of popularity that are tried, in windows: 1/16 to 4."""
FORGOTTEN = 20
"""Half-lives after which a transition no longer counts."""
BLOCK = 256
"""Transitions whose lifts are in memory at a time."""


def with_live(
    logp: NDArray[np.float64],
    known: BoolArray,
    overlay: live.Overlay,
    timed: NDArray[np.void],
    queries: NDArray[np.void],
) -> NDArray[np.float64]:
    """(n, N) log-probabilities when the overlay has taken in what happened strictly before each transition.

    Args:
        logp: (n, N) without live signals.
        known: (n, N) what is no candidate.
        timed: everybody's transitions with their times, from the overlay's own moment on, in any order.
        queries: (n,) the transitions that are scored, with their times.
    """
    order, timed = np.argsort(queries["time"], kind="stable"), by_time(timed)
    bonus = np.empty(logp.shape)
    done, lifts = 0, np.empty((BLOCK, len(overlay.weights), logp.shape[1]))
    for start in range(0, len(order), BLOCK):
        rows = order[start : start + BLOCK]
        block = queries[rows]
        until = int(np.searchsorted(timed["time"], block["time"][-1], side="left"))
        overlay.lifts_on_the_way(timed[done:until], block, lifts[: len(rows)])
        bonus[rows] = overlay.bounded(lifts[: len(rows)])
        done = until
    overlay.apply(timed[done:])
    return counts.log_softmax(np.where(known, 0.0, logp) + bonus, known)


def popularity_live(
    fitter: CountFitter, log: TransitionLog, until: AsOf, test: Transitions, queries: NDArray[np.void]
) -> NDArray[np.float64]:
    """(n, N) log-probabilities by popularity that has taken in every transition strictly before each of n.

    Its half-life is the one that was best in the same way on the held-out windows.

    Args:
        log: holds what happened before `until`.
        queries: (n,) the transitions `test` with their times; all lie before `until`.
    """
    size, window = len(fitter.log.interests), fitter.log.scales.window_days
    tried = [window * length for length in LIVE_HALF_LIVES]
    start = fitter.holdout.start.minus(round(FORGOTTEN * tried[-1]))
    before = by_time(fitter.log.transitions.records(start, fitter.log.as_of))
    totals = np.zeros(len(tried))
    for window_held in fitter.holdout.windows:
        timed = fitter.holdout.timed(window_held)
        for place, half_life in enumerate(tried):
            totals[place] += counts.log_likelihood_of(
                _before(before, timed, half_life, size), window_held.held
            )
    best = tried[int(totals.argmax())]
    everything = by_time(log.records(start, until))
    return counts.log_softmax(_before(everything, queries, best, size), test.known)


def _before(
    timed: NDArray[np.void], queries: NDArray[np.void], half_life: float, interests: int
) -> NDArray[np.float64]:
    """(n, N) log-popularity strictly before each of `queries`; `timed` are in the order of time."""
    order = np.argsort(queries["time"], kind="stable")
    shares = np.empty((len(queries), interests))
    shares[order] = _running(
        np.ascontiguousarray(timed["time"]),
        np.ascontiguousarray(timed["successor"]),
        np.ascontiguousarray(queries["time"][order]),
        half_life * DAY,
        interests,
    )
    return np.log(shares)


@njit(cache=True)
def _running(time, successor, queries, half_life, interests):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    """(n, N) shares, smoothed as `counts.popularity_of` smooths them."""
    out = np.empty((len(queries), interests))
    count = np.zeros(interests)
    done, clock = 0, queries[0] if len(queries) else 0
    if len(time):
        clock = time[0]
    for row in range(len(queries)):
        while done < len(time) and time[done] < queries[row]:
            count *= 0.5 ** ((time[done] - clock) / half_life)
            clock = time[done]
            count[successor[done]] += 1.0
            done += 1
        left = count * 0.5 ** ((queries[row] - clock) / half_life)
        pseudo = max(min(1.0, left.sum() / interests), 1e-3)
        out[row] = (left + pseudo) / (left.sum() + pseudo * interests)
    return out
