"""How many moves of new users to an interest count on a day, compiled.

New users (without a past, see `transitions.established`) are cheap to make up. So their moves may raise an
interest's share among new users' moves to `growth` times what it was at most, and further only as far as
established users take the interest up more often as well: a premiere draws both, a campaign only its own
accounts. Where more come, those with the shortest past are held back, then the latest. The same holds for
moves from one interest to another (pairs). What was held back is no part of later expectations, so a campaign
that goes on raises its own bound by little.

A day is decided by what came up to its end: later events change nothing about it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit
from numpy.typing import NDArray

from freshet.core.types import BoolArray

PAIRS = 1024
"""Interests up to which pairs are bounded too: three (N, N) arrays are in memory."""
LONG = 4.0
"""The long half-life, by which usual shares are known, in short ones."""
SETTLED = 2.0
"""Moves per interest, decayed, before anything is usual: a log that has just begun is not screened."""
MATURE = 0.4
"""Share of the moves that counted so far (long half-life) which established users must have made once. Where
most users are new, new users are what the log has to learn from, and nobody is there to bear them out. Once
is enough: else a flood of new users would end the screen that it is to pass."""
PULL = 20.0
"""Pseudo-counts that pull what follows an interest to what is taken up at all."""
CAUTION = 5.0
"""Pseudo-counts that pull what established users take up of late to what they usually do."""
MOST = 0.9
"""Share of new users' moves that may be expected of one interest, at most."""
FAR = 30.0
"""Half-lives after which sums are brought to a later landmark, so that they don't grow large."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How far new users' moves count.

    Attributes:
        growth: times the share that is usual or borne out.
        chance: standard deviations above that.
        few: moves to one interest on one day that always count.
        half_life: of what came of late, in days.
    """

    growth: float
    chance: float
    few: float
    half_life: float


class Running:
    """Decayed sums of what counted so far, as of the last day decided.

    Args:
        interests: N.
        limits: how far new users' moves count.
        trusted: interests at which nothing is held back.
    """

    def __init__(self, interests: int, limits: Limits, trusted: NDArray[np.int64]) -> None:
        self._limits = limits
        pairs = interests if interests <= PAIRS else 0
        self._new, self._old = np.zeros((2, interests)), np.zeros((2, interests))  # short, long half-life
        self._new_pairs = np.zeros((pairs, pairs), np.float32)  # short half-life
        self._pairs = np.zeros((pairs, pairs), np.float32)  # long, of new and established users
        self._today = np.zeros((2, pairs, pairs), np.int32)  # new users' moves that came, and that counted
        self._since = np.full(1, -1, np.int64)
        self._mature = np.zeros(1, np.bool_)
        self._trusted = np.isin(np.arange(interests), trusted)

    def decide(
        self,
        day: NDArray[np.int64],
        last: NDArray[np.int16],
        successor: NDArray[np.int16],
        new: BoolArray,
        order: NDArray[np.int64],
    ) -> BoolArray:
        """Whether each move counts.

        Args:
            day: (n,) days since 1970, ascending: whole days that come after those decided before.
            last: (n,) last interests, -1 = none; `successor`: (n,).
            new: (n,) whether it is a new user's.
            order: (n,) row numbers, by day and then in the order in which new users' moves count.
        """
        kept = np.ones(len(day), bool)
        limits = self._limits
        given = limits.growth, limits.chance, limits.few, limits.half_life
        sums = self._new, self._old, self._new_pairs, self._pairs, self._today
        bounds = np.append(np.flatnonzero(np.r_[True, day[1:] != day[:-1]][: len(day)]), len(day))
        for start, end in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
            rows = slice(start, end)
            own = last[rows], successor[rows], new[rows], order[rows] - start
            _decide(int(day[start]), own, given, sums, (self._since, self._mature), self._trusted, kept[rows])
        return kept


@njit(cache=True)
def _bound(expected, growth, chance, few):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    mean = growth * expected
    return mean + chance * np.sqrt(mean) + few


@njit(cache=True)
def _odds(share):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    share = min(share, MOST)
    return share / (1.0 - share)


@njit(cache=True)
def _allowed(came, borne, fresh, old, short, long, growth, chance, few):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    """(N,) new users' moves to each interest that count today: of `came`, beside `borne` of others."""
    interests = len(came)
    allowed = came.copy()
    all_new, all_old, all_late = fresh[1].sum() * long, old[1].sum() * long, old[0].sum() * short
    total, late, today = came.sum(), fresh[0].sum() * short, borne.sum()
    for s in range(interests):
        if came[s] <= few:
            continue
        usual = (fresh[1, s] * long + 1.0) / (all_new + interests)
        steady = (old[1, s] * long + 1.0) / (all_old + interests)
        of_late = (old[0, s] * short + CAUTION * steady) / ((all_late + CAUTION) * steady)
        at_once = (borne[s] + CAUTION * steady) / ((today + CAUTION) * steady)  # on its first day
        odds = _odds(usual * max(1.0, of_late, at_once))
        # a flood of one interest must not raise what is expected of it: others' moves alone do
        others, before = total - came[s], fresh[0, s] * short
        on_the_day = _bound(others * odds, growth, chance, few)
        with_before = _bound((others + late - before) * odds, growth, chance, few) - before
        allowed[s] = min(on_the_day, with_before)
    return allowed


@njit(cache=True)
def _allowed_after(a, s, came, fresh, old, fresh_pairs, pairs, short, long, growth, chance, few):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    """How many of new users' moves from `a` to `s` count today."""
    base = (old[1, s] + fresh[1, s]) / (old[1].sum() + fresh[1].sum())
    share = (pairs[a, s] * long + PULL * base) / (pairs[a].sum() * long + PULL)
    before = fresh_pairs[a, s] * short
    others = came[a].sum() - came[a, s] + fresh_pairs[a].sum() * short - before
    return _bound(others * _odds(share), growth, chance, few) - before


@njit(cache=True)
def _decide(day, own, given, sums, state, trusted, kept):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    last, successor, new, order = own
    growth, chance, few, half_life = given
    fresh, old, fresh_pairs, pairs, (came_pairs, taken_pairs) = sums
    rows = len(pairs)
    since, mature = state
    if since[0] < 0:
        since[0] = day
    # sums are as of the landmark `since`: what comes later is added larger
    short, long = 0.5 ** ((day - since[0]) / half_life), 0.5 ** ((day - since[0]) / (LONG * half_life))
    if day - since[0] > FAR * half_life:
        for s in range(len(trusted)):  # in a loop: numba takes two seconds to compile `fresh[0] *= short`
            fresh[0, s] *= short
            old[0, s] *= short
            fresh[1, s] *= long
            old[1, s] *= long
        fresh_pairs *= np.float32(short)
        pairs *= np.float32(long)
        since[0], short, long = day, 1.0, 1.0
    came, borne, taken = np.zeros((3, len(trusted)))
    for row in range(len(last)):
        if not new[row]:
            old[0, successor[row]] += 1.0 / short
            borne[successor[row]] += 1
            continue
        came[successor[row]] += 1
        if 0 <= last[row] < rows:
            came_pairs[last[row], successor[row]] += 1
    settled = fresh[1].sum() + old[1].sum()
    mature[0] |= settled * long > SETTLED * len(trusted) and old[1].sum() >= MATURE * settled
    if mature[0]:
        allowed = _allowed(came, borne, fresh, old, short, long, growth, chance, few)
        for row in order:
            a, s = last[row], successor[row]
            if not new[row] or trusted[s]:
                continue
            kept[row] = taken[s] + 1 <= allowed[s]
            after = 0 <= a < rows
            if kept[row] and after and came_pairs[a, s] > few:
                most = _allowed_after(
                    a, s, came_pairs, fresh, old, fresh_pairs, pairs, short, long, growth, chance, few
                )
                kept[row] = taken_pairs[a, s] + 1 <= most
            if kept[row]:
                taken[s] += 1
                if after:
                    taken_pairs[a, s] += 1
    for row in range(len(last)):
        a, s = last[row], successor[row]
        after = 0 <= a < rows
        if after:
            came_pairs[a, s] = 0
            taken_pairs[a, s] = 0
        if not kept[row]:
            continue
        if new[row]:
            fresh[0, s] += 1.0 / short
            fresh[1, s] += 1.0 / long
        else:
            old[1, s] += 1.0 / long
        if after:
            pairs[a, s] += np.float32(1.0 / long)
            if new[row]:
                fresh_pairs[a, s] += np.float32(1.0 / short)
