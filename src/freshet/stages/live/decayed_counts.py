"""Counts that halve with time, compiled.

Forward decay (Cormode et al. 2009): a transition at time t adds 2 ** ((t - since) / half-life), so that
nothing has to be touched as time passes; a count as of `now` is what was added, times 2 ** ((since - now)
/ half-life). The landmark `since` moves on before the numbers grow large.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from freshet.core.time import DAY

FAR = 40.0
"""Half-lives after which the landmark moves: 2 ** 40 leaves room for sums in 32 bits."""
NOW = np.iinfo(np.int64).max
"""A moment after every other: transitions count at their own time."""
SEAT_BITS = 20
SEATS = 1 << SEAT_BITS
"""Counters of transitions by user and day; users who share one are capped earlier, never later."""


@njit(cache=True)
def add(transitions, latest, half_lives, since, popular, after, seats, cap, established, light):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  # pragma: no cover - compiled
    """Add transitions; returns how many counted, and the latest time among them.

    `transitions` is (time, user, last, successor). Row p of `popular` (P, N) halves by `half_lives[p]`,
    `after` (N, N) by the one behind them; it may have no rows. `seats` (SEATS, 2): the day, and the
    transitions on it. Times after `latest` count as `latest`. One of a user who is not among `established`
    (ascending) adds `light` of what others' add.
    """
    times, users, lasts, successors = transitions
    rows, interests = popular.shape
    counted, clock = 0, since[0]
    for i in range(len(times)):
        successor, last = successors[i], lasts[i]
        if successor < 0 or successor >= interests or times[i] < 0:
            continue
        time = min(times[i], latest)
        seat = (users[i] * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(64 - SEAT_BITS)
        day = np.uint16(time // DAY)
        if day > seats[seat, 0]:
            seats[seat, 0] = day
            seats[seat, 1] = 0
        if seats[seat, 1] >= cap:
            continue
        seats[seat, 1] += 1
        counted += 1
        clock = max(clock, time)
        weight = 1.0
        if light < 1.0:
            place = np.searchsorted(established, users[i])
            if place == len(established) or established[place] != users[i]:
                weight = light
        for p in range(rows):
            passed = (time - since[p]) / half_lives[p]
            if passed > FAR:
                for s in range(interests):  # in a loop: numba takes two seconds to compile `popular[p] *=`
                    popular[p, s] *= 2.0**-passed
                since[p], passed = time, 0.0
            popular[p, successor] += weight * 2.0**passed
        if 0 <= last < len(after):
            passed = (time - since[rows]) / half_lives[rows]
            if passed > FAR:
                after *= np.float32(2.0**-passed)
                since[rows], passed = time, 0.0
            after[last, successor] += np.float32(weight * 2.0**passed)
    return counted, clock


@njit(cache=True)
def lifts(last, now, half_lives, since, popular, after, usual, usual_after, pseudo, limit, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  # pragma: no cover
    """Fill `out` (P, N): log of what is taken up now over what was usual, between -limit and limit.

    Row 0 of `popular` is for bursts alone; the rows behind it come first in `out`, then what follows `last`.
    """
    rows, interests = popular.shape
    for p in range(1, rows):
        left = 2.0 ** ((since[p] - now) / half_lives[p])
        total = 0.0
        for s in range(interests):
            total += popular[p, s]
        scale = np.log(total * left + pseudo)
        for s in range(interests):
            lift = np.log(popular[p, s] * left / usual[s] + pseudo) - scale
            out[p - 1, s] = min(max(lift, -limit), limit)
    if not 0 <= last < len(after):
        out[rows - 1] = 0.0
        return
    left = 2.0 ** ((since[rows] - now) / half_lives[rows])
    total = 0.0
    for s in range(interests):
        total += after[last, s]
    scale = np.log(total * left + pseudo)
    for s in range(interests):
        lift = np.log(after[last, s] * left / usual_after[last, s] + pseudo) - scale
        out[rows - 1, s] = min(max(lift, -limit), limit)


@njit(cache=True)
def bounded(weights, lifted, limit, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  # pragma: no cover
    """Fill `out` (N,) with the weighted sum of lifts (P, N), between -limit and limit."""
    rows, interests = lifted.shape
    for s in range(interests):
        total = 0.0
        for p in range(rows):
            total += weights[p] * lifted[p, s]
        out[s] = min(max(total, -limit), limit)


@njit(cache=True)
def lifts_on_the_way(transitions, queries, clock, counts, light, usual, bounds, out):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN201  # pragma: no cover
    """Add all `transitions`, which are in the order of time, and note the lifts at each query on the way.

    `queries` is (time, last), in the order of time; `out` (n, P, N) gets the lifts of each, by what lies
    strictly before it. `counts` is (half_lives, since, popular, after, seats) as of `clock`, `light` (cap,
    established, light), `usual` (usual, usual_after) and `bounds` (pseudo, limit), all as above. Returns the
    latest time of a transition.
    """
    times, users, lasts, successors = transitions
    moments, behind = queries
    half_lives, since, popular, after, seats = counts
    cap, established, weight = light
    pseudo, limit = bounds
    found = np.empty(out.shape[1:])
    done = 0
    for row in range(len(moments) + 1):
        until = done
        while until < len(times) and (row == len(moments) or times[until] < moments[row]):
            until += 1
        if until > done:
            part = (times[done:until], users[done:until], lasts[done:until], successors[done:until])
            _, latest = add(part, NOW, half_lives, since, popular, after, seats, cap, established, weight)
            clock = max(clock, latest)
            done = until
        if row < len(moments):
            now = max(moments[row], clock)  # a clock behind the last transition must not blow counts up
            lifts(
                behind[row], now, half_lives, since, popular, after, usual[0], usual[1], pseudo, limit, found
            )
            for p in range(out.shape[1]):  # in a loop, as above
                for s in range(out.shape[2]):
                    out[row, p, s] = found[p, s]
    return clock
