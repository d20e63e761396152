"""Choosing evidence: supported, shrunk, capped, and steady.

The paper's retrieval is instance level (successors of this very pair) by frequency; global level and trend
are the alternatives it compared (section on retrieval; see docs/vocabulary.md). All contexts are treated at
once, as arrays: nearly every one of N x N pairs speaks by the successors of its last interest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.config import EvidenceConfig
from freshet.core.prompts import strengths as in_words
from freshet.core.types import Evidence, Sums, context_codes, positions

ROUNDING = 1 - 1e-9
"""Support is a sum of shares of voices: five of them may add up to a hair less than 5."""


@dataclass(frozen=True, slots=True)
class Window:
    """User counts of one evidence window by context length 0..k, capped per user.

    `before` are the counts of the window before it, which trends compare with; empty for frequency.
    """

    now: Sequence[Sums]
    before: Sequence[Sums]


def choose(
    window: Window,
    contexts: NDArray[np.int16],
    interests: int,
    prior_counts: Sequence[float],
    config: EvidenceConfig,
    previous: Evidence | None = None,
    ineligible: frozenset[int] = frozenset(),
) -> Evidence:
    """Evidence for the prompts of the contexts; a context without supported successors is left out.

    Args:
        window: counts before as_of.
        contexts: (n, k) who is asked about, each once; right-aligned, -1 padded.
        interests: N.
        prior_counts: pseudo-counts of shrinkage for context lengths 1..k.
        config: level, ranking, support, hysteresis.
        previous: the last evidence; its words stay while shares move by less than the hysteresis.
        ineligible: interests that may not be named.
    """
    n, k = contexts.shape
    if config.level == "none":
        return Evidence.none(k)
    everybody = config.level == "global"
    top = config.top * (10 if everybody else 1)
    before = _Counts(window.before, interests, prior_counts) if config.rank_by == "trend" else None
    ranking = _Ranking(_Counts(window.now, interests, prior_counts), before)
    length = (contexts >= 0).sum(axis=1)
    least = 0.0 if everybody else config.min_support * ROUNDING
    chosen = np.full((n, top), -1, np.int16)
    held = np.full(n, -1)  # row of `previous` whose words stay
    after = np.full(n, -1, np.int8)
    # the longest suffix that has something to say speaks; `()` only for users without any context
    for size in (0,) if everybody else range(k, -1, -1):
        speaks = length >= size if size or everybody else length == 0
        rows = np.flatnonzero((after < 0) & speaks)
        fresh = _fresh(ranking, contexts[rows], size, top, least, ineligible)
        # enough people, but no two of them agree: a shorter context may say more
        some = fresh[:, 0] >= 0
        rows, fresh = rows[some], fresh[some]
        chosen[rows], after[rows] = fresh, size
        if previous:
            held[rows] = _held(ranking, contexts[rows], size, fresh, previous, config.hysteresis, ineligible)
    return _collect(ranking.now, contexts, after, chosen, previous, held)


class _Counts:
    """Counts after the contexts of every length, found by binary search, and their shrunk shares."""

    def __init__(self, sums: Sequence[Sums], interests: int, prior_counts: Sequence[float]) -> None:
        self.sums = sums
        self.interests = interests
        self.pseudo = (1.0, *prior_counts)
        self.codes = [context_codes(level.contexts) for level in sums]
        self._cells = [_cell(c, level.successor) for c, level in zip(self.codes, sums, strict=True)]
        self._groups = [np.unique(codes, return_index=True) for codes in self.codes]
        self._totals = [
            np.add.reduceat(level.weight, first) if len(first) else np.zeros(0)
            for level, (_, first) in zip(sums, self._groups, strict=True)
        ]

    def total(self, codes: NDArray[np.int64], size: int) -> NDArray[np.float64]:
        """Counts after contexts of that size, by their codes."""
        return _at(self._totals[size], positions(self._groups[size][0], codes))

    def count(
        self, codes: NDArray[np.int64], size: int, successors: NDArray[np.int16]
    ) -> NDArray[np.float64]:
        """(n, m) counts of successors (n, m) after contexts (n,) of that size."""
        return _at(self.sums[size].weight, positions(self._cells[size], _cell(codes[:, None], successors)))

    def share(self, contexts: NDArray[np.int16], successors: NDArray[np.int16]) -> NDArray[np.float64]:
        """(n, m) shares of successors after contexts, shrunk to those of the suffix, that to popularity."""
        share = np.full(successors.shape, 1 / self.interests)
        for size in range(contexts.shape[1] + 1):
            codes = context_codes(contexts[:, contexts.shape[1] - size :])
            counts, total = self.count(codes, size, successors), self.total(codes, size)[:, None]
            share = (counts + self.pseudo[size] * share) / (total + self.pseudo[size])
        return share


@dataclass(frozen=True, slots=True)
class _Ranking:
    """What ranks successors: their share now, or its rise since the window before."""

    now: _Counts
    before: _Counts | None

    def order(self, contexts: NDArray[np.int16], successors: NDArray[np.int16]) -> NDArray[np.float64]:
        """(n, m) what successors are ranked by after contexts (n, k); more is better."""
        share = self.now.share(contexts, successors)
        return share if self.before is None else share - self.before.share(contexts, successors)


def _fresh(
    ranking: _Ranking,
    contexts: NDArray[np.int16],
    size: int,
    top: int,
    least: float,
    ineligible: frozenset[int],
) -> NDArray[np.int16]:
    """(n, top) best successors after the last `size` interests of each context, -1 where there are none.

    Only those that two people took up, of contexts with at least `least` counts.
    """
    k = contexts.shape[1]
    codes, ranked = _ranked(ranking, size, top + k, least, ineligible)
    place = positions(codes, context_codes(contexts[:, k - size :]))
    found = ranked[place] if len(ranked) else np.full((len(place), top + k), -1, np.int16)
    own = (found[:, :, None] == contexts[:, None, :]).any(axis=2)
    named = (found >= 0) & ~own & (place >= 0)[:, None]
    best = np.argsort(~named, axis=1, kind="stable")[:, :top]
    return np.where(
        np.take_along_axis(named, best, axis=1), np.take_along_axis(found, best, axis=1), np.int16(-1)
    )


def _ranked(
    ranking: _Ranking, size: int, width: int, least: float, ineligible: frozenset[int]
) -> tuple[NDArray[np.int64], NDArray[np.int16]]:
    """Codes (A,) of all contexts of that size with enough counts, and their best successors (A, width)."""
    level, codes = ranking.now.sums[size], ranking.now.codes[size]
    keep = (level.weight >= 2) & ~np.isin(level.successor, list(ineligible))
    keep &= ranking.now.total(codes, size) >= least
    codes, successors = codes[keep], level.successor[keep]
    order = ranking.order(level.contexts[keep], successors[:, None])[:, 0]
    by_rank = np.lexsort((successors, -order, codes))
    by_rank = by_rank[order[by_rank] > 0]
    codes, successors = codes[by_rank], successors[by_rank]
    found, first, group = np.unique(codes, return_index=True, return_inverse=True)
    rank = np.arange(len(codes)) - first[group]
    ranked = np.full((len(found), width), -1, np.int16)
    ranked[group[rank < width], rank[rank < width]] = successors[rank < width]
    return found, ranked


def _held(
    ranking: _Ranking,
    contexts: NDArray[np.int16],
    size: int,
    fresh: NDArray[np.int16],
    previous: Evidence,
    hysteresis: float,
    ineligible: frozenset[int],
) -> NDArray[np.int64]:
    """(n,) row of `previous` whose entries still hold for a context, -1 where the fresh ones are said.

    They hold while all may be named and are still seen (and still rise, if trends rank), no rival beats
    the weakest of them by more than the hysteresis, and no share has left its word by more than the
    hysteresis.
    """
    row = previous.find(contexts)
    held, shares = previous.successors[row], previous.shares[row]
    listed = held >= 0
    suffix = contexts[:, contexts.shape[1] - size :]
    order = ranking.order(suffix, held)
    seen = ranking.now.count(context_codes(suffix), size, held) > 0
    gone = listed & (~seen | (order <= 0) | np.isin(held, list(ineligible)))
    weakest = np.where(listed, order, np.inf).min(axis=1)
    rival = (fresh >= 0) & ~(fresh[:, :, None] == held[:, None, :]).any(axis=2)
    beaten = rival & (ranking.order(suffix, fresh) > weakest[:, None] * (1 + hysteresis))
    share = ranking.now.share(suffix, held)
    moved = listed & (np.abs(share - shares) > hysteresis * shares) & (in_words(share) != in_words(shares))
    entries, most = listed.sum(axis=1), (fresh >= 0).sum(axis=1)
    keep = (row >= 0) & (previous.after[row] == size) & (most <= entries) & (entries <= fresh.shape[1])
    return np.where(keep & ~(gone | moved).any(axis=1) & ~beaten.any(axis=1), row, -1)


def _collect(
    now: _Counts,
    contexts: NDArray[np.int16],
    after: NDArray[np.int8],
    chosen: NDArray[np.int16],
    previous: Evidence | None,
    held: NDArray[np.int64],
) -> Evidence:
    """Fresh entries with their shares and supports of now, held ones with those they were first said with."""
    shares, supports = np.zeros(chosen.shape), np.zeros(chosen.shape)
    k = contexts.shape[1]
    for size in range(after.max(initial=-1) + 1):
        rows = np.flatnonzero(after == size)
        suffix = contexts[rows, k - size :]
        supports[rows] = now.count(context_codes(suffix), size, chosen[rows])
        shares[rows] = np.where(chosen[rows] >= 0, now.share(suffix, chosen[rows]), 0.0)
    if previous:
        rows, of = np.flatnonzero(held >= 0), held[held >= 0]
        for ours, theirs, blank in (
            (chosen, previous.successors, -1),
            (shares, previous.shares, 0),
            (supports, previous.supports, 0),
        ):
            width = min(ours.shape[1], theirs.shape[1])
            ours[rows] = blank
            ours[rows, :width] = theirs[of, :width]
    found = after >= 0
    return Evidence(contexts[found], after[found], chosen[found], shares[found], supports[found])


def _cell(codes: NDArray[np.int64], successors: NDArray[np.int16]) -> NDArray[np.int64]:
    """One number for each (context, successor), ascending as sums are sorted."""
    return np.asarray((codes << 15) + successors + 1)


def _at(values: NDArray[np.float64], place: NDArray[np.int64]) -> NDArray[np.float64]:
    """Values at places, 0 where the place is -1."""
    return np.where(place >= 0, values[place] if len(values) else 0.0, 0.0)
