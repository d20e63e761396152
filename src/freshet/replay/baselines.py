"""Arms without a fitted mixture: recent popularity, and the raw most frequent successor of the pair.

Popularity comes refreshed as tables are, and updated by every event.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from freshet.core.time import DAY
from freshet.core.types import AsOf, Transitions
from freshet.stages import counts
from freshet.stages.counts.count_model import ContextCounts
from freshet.stages.counts.fitter import CountFitter
from freshet.stages.live.calibration import by_time
from freshet.stages.transitions import TransitionLog

HALF_LIVES = tuple(2.0 ** (power / 2) for power in range(-6, 9))
"""Half-lives of popularity that are tried, in windows: 1/8 to 16."""
LIVE_HALF_LIVES = tuple(2.0 ** (power / 2) for power in range(-8, 5))
"""The same where every event counts at once: 1/16 to 4."""
FORGOTTEN = 20
"""Half-lives after which a transition no longer counts."""

UNDECAYED = 1e9
"""A half-life in days that leaves counts as they are."""
SMOOTHING = 0.5
"""Pseudo-counts spread by popularity: raw counts rank, and what was never seen still has a likelihood."""


def popularity(fitter: CountFitter, test: Transitions) -> NDArray[np.float64]:
    """(n, N) log-probabilities by recent popularity, at the half-life that was best on held-out transitions.

    Those were counted as long before as counts are in use; see `CountFitter.stretches`.
    """
    snapshot = fitter.log
    tried = [snapshot.scales.window_days * length for length in HALF_LIVES]
    best = tried[fitter.best_popularity(tried)]
    [share] = counts.popularity_of(
        [snapshot.transitions.sums(snapshot.as_of, best, 0)], len(snapshot.interests)
    )
    return counts.log_softmax(np.broadcast_to(np.log(share), test.known.shape), test.known)


def popularity_live(
    fitter: CountFitter, log: TransitionLog, until: AsOf, test: Transitions, queries: NDArray[np.void]
) -> NDArray[np.float64]:
    """(n, N) log-probabilities by popularity that has taken in every transition strictly before each of n.

    Its half-life is the one that was best in the same way on the held-out windows.

    Args:
        log: holds what happened before `until`.
        asked: (n,) the transitions `test` as moves, with their times, which ends before `until`.
    """
    size, window = len(fitter.log.interests), fitter.log.scales.window_days
    tried = [window * length for length in LIVE_HALF_LIVES]
    start = fitter.holdout.start.minus(round(FORGOTTEN * tried[-1]))
    before = by_time(fitter.log.transitions.records(start, fitter.log.as_of))
    totals = np.zeros(len(tried))
    for window_held in fitter.holdout.windows:
        moves = fitter.holdout.timed(window_held)
        for place, half_life in enumerate(tried):
            totals[place] += counts.log_likelihood_of(
                _before(before, moves, half_life, size), window_held.held
            )
    best = tried[int(totals.argmax())]
    everything = by_time(log.records(start, until))
    return counts.log_softmax(_before(everything, queries, best, size), test.known)


def _before(
    moves: NDArray[np.void], queries: NDArray[np.void], half_life: float, interests: int
) -> NDArray[np.float64]:
    """(n, N) log-popularity strictly before each move `queries`; `moves` are in the order of time."""
    order = np.argsort(queries["time"], kind="stable")
    shares = np.empty((len(queries), interests))
    shares[order] = _running(
        np.ascontiguousarray(moves["time"]),
        np.ascontiguousarray(moves["successor"]),
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


def last_successor(fitter: CountFitter, test: Transitions) -> NDArray[np.float64]:
    """(n, N) log-probabilities by how often each successor followed the pair; of the last interest, or
    everybody, for users who have no pair."""
    snapshot, n = fitter.log, len(test)
    base = np.exp(fitter.model(snapshot.as_of).popularity[-1])
    raw = np.zeros((n, len(base)))
    have = np.minimum((test.recent >= 0).sum(axis=1), 2)
    for length in (1, 2):
        sums = snapshot.transitions.sums(snapshot.as_of, UNDECAYED, length)
        rows = have == length
        raw[rows] = ContextCounts.of(sums, len(base)).after(test.recent[rows][:, -length:])
    return counts.log_softmax(np.log(raw + SMOOTHING * base), test.known)
