"""Choosing evidence one context at a time: slow, and readable as a definition of what the stage must find."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.config import EvidenceConfig
from freshet.core.prompts import strength
from freshet.core.types import Context, ContextEvidence, Successor, Sums
from freshet.stages.evidence import Window

Known = Mapping[Context, ContextEvidence]


def choose(
    window: Window,
    contexts: Iterable[Context],
    interests: int,
    prior_counts: Sequence[float],
    config: EvidenceConfig,
    previous: Known,
    ineligible: frozenset[int] = frozenset(),
) -> dict[Context, ContextEvidence]:
    """Evidence for the prompts of the contexts; a context without supported successors is left out.

    Args:
        window: counts before as_of.
        contexts: who is asked about.
        interests: N.
        prior_counts: pseudo-counts of shrinkage for context lengths 1..k.
        config: level, ranking, support, hysteresis.
        previous: the last evidence; its words stay while shares move by less than the hysteresis.
        withheld: interests that may not be named (not eligible).
    """
    if config.level == "none":
        return {}
    now = _Shares(window.now, interests, prior_counts)
    before = _Shares(window.before, interests, prior_counts) if config.rank_by == "trend" else None
    standings: dict[Context, _Standing] = {}
    chosen: dict[Context, ContextEvidence] = {}
    top = config.top * (10 if config.level == "global" else 1)
    for context in contexts:
        barred = ineligible.union(context)
        for after in ((),) if config.level == "global" else now.supported(context, config.min_support):
            if after not in standings:
                standings[after] = _standing(now, before, after)
            standing = standings[after]
            successors = tuple(s for s in standing.ranked if s.interest not in barred)[:top]
            if not successors:
                continue  # enough people, but no two of them agree: a shorter context may say more
            held = previous.get(context)
            if held is not None and held.after == after and len(held.successors) <= top:
                successors = _steady(held.successors, successors, standing, barred, config.hysteresis)
            chosen[context] = ContextEvidence(after, successors)
            break
    return chosen


@dataclass(frozen=True, slots=True)
class _Standing:
    """The successors of one context.

    Attributes:
        shares: (N,) shrunk shares now.
        order: (N,) what ranks: the shares, or their rise since the window before.
        ranked: those seen at least twice, best first.
        seen: those seen at all.
    """

    shares: NDArray[np.float64]
    order: NDArray[np.float64]
    ranked: tuple[Successor, ...]
    seen: frozenset[int]


class _Shares:
    """Shrunk successor shares per context, computed when first asked for."""

    def __init__(self, sums: Sequence[Sums], interests: int, prior_counts: Sequence[float]) -> None:
        self.interests = interests
        self.prior_counts = prior_counts
        self.counts: dict[Context, list[tuple[int, float]]] = defaultdict(list)
        for level in sums:
            for context, successor, weight in zip(
                level.contexts.tolist(), level.successor.tolist(), level.weight.tolist(), strict=True
            ):
                self.counts[tuple(context)].append((successor, weight))
        self.totals = {context: sum(w for _, w in rows) for context, rows in self.counts.items()}
        self._shares: dict[Context, NDArray[np.float64]] = {}

    def supported(self, context: Context, least: float) -> Iterator[Context]:
        """Suffixes with enough support, longest first; `()` speaks only for users without any context."""
        for start in range(len(context) or 1):
            if self.totals.get(context[start:], 0.0) >= least * (1 - 1e-9):
                yield context[start:]

    def of(self, context: Context) -> NDArray[np.float64]:
        """(N,) shares of successors, shrunk to those of the suffix, and that to popularity."""
        if context not in self._shares:
            counts = np.zeros(self.interests)
            for successor, weight in self.counts.get(context, ()):
                counts[successor] = weight
            if context:
                towards, pseudo = self.of(context[1:]), self.prior_counts[len(context) - 1]
            else:
                towards, pseudo = np.full(self.interests, 1 / self.interests), 1.0
            self._shares[context] = (counts + pseudo * towards) / (counts.sum() + pseudo)
        return self._shares[context]


def _standing(now: _Shares, before: _Shares | None, after: Context) -> _Standing:
    shares = now.of(after)
    order = shares if before is None else shares - before.of(after)
    counts = now.counts.get(after, [])
    twice = [(s, w) for s, w in counts if w >= 2 and order[s] > 0]
    twice.sort(key=lambda row: (-order[row[0]], row[0]))
    ranked = tuple(Successor(s, float(shares[s]), w) for s, w in twice)
    return _Standing(shares, order, ranked, frozenset(s for s, _ in counts))


def _steady(
    held: tuple[Successor, ...],
    fresh: tuple[Successor, ...],
    standing: _Standing,
    barred: frozenset[int],
    hysteresis: float,
) -> tuple[Successor, ...]:
    """The previous entries while they still hold, else the fresh ones.

    They hold while all may be named and are still seen (and still rise, if trends rank), no newcomer beats
    the weakest of them by more than the hysteresis, and no share has left its word by more than the
    hysteresis.
    """
    order = standing.order
    gone = any(
        s.interest in barred or s.interest not in standing.seen or order[s.interest] <= 0 for s in held
    )
    if gone or len(fresh) > len(held):
        return fresh
    weakest = min(order[s.interest] for s in held)
    names = {s.interest for s in held}
    if any(order[s.interest] > weakest * (1 + hysteresis) for s in fresh if s.interest not in names):
        return fresh
    for s in held:
        share = float(standing.shares[s.interest])
        moved = abs(share - s.share) > hysteresis * s.share
        if moved and strength(share) != strength(s.share):
            return fresh
    return held
