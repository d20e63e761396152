"""Ranks the items of an interest for one user."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import BoolArray, IntArray
from freshet.stages.items.item_index import ItemIndex
from freshet.stages.items.top_k import best_of, best_per_interest

Floats = NDArray[np.float32]
Ranked = tuple[int, float, str]
"""Number of an item, its log-probability among the eligible items it was chosen from, and the reason."""

SEQUENCE, NEW, POPULAR, PARENT = "sequence", "new", "popular", "parent"

NOTHING = np.zeros(0, np.float32)
"""The state of a user whose history says nothing."""

NEIGHBOURS = 8
"""Interests beside the asked one that are looked into where it has too few eligible items."""


@dataclass(frozen=True)
class Ranker:
    """Scores of items: what they are known for beforehand, and how they go with what a user did last.

    Attributes:
        shelves: the V items.
        embedding: (V, d) of each.
        read: makes (d,) of a history: numbers of items, most recent last, none empty; None = histories say
            nothing, popularity decides for everybody.
    """

    item_index: ItemIndex
    embedding: Floats
    read: Callable[[IntArray], Floats] | None

    @property
    def ids(self) -> tuple[str, ...]:
        return self.item_index.ids

    @property
    def titles(self) -> tuple[str, ...]:
        return self.item_index.titles

    @cached_property
    def index(self) -> dict[str, int]:
        """Number of each item by its id."""
        return {item: number for number, item in enumerate(self.item_index.ids)}

    @cached_property
    def interest(self) -> NDArray[np.int16]:
        """(V,) index of the interest of each item."""
        sizes = np.diff(self.item_index.start)
        return np.repeat(np.arange(len(sizes), dtype=np.int16), sizes)

    def state(self, recent: IntArray) -> Floats | None:
        """(d,) what a history (r,) of item numbers, most recent last, says; None = nothing."""
        return self.read(recent) if self.read is not None and len(recent) else None

    def top(
        self, state: Floats | None, interest: int, ineligible: BoolArray | None, count: int
    ) -> list[Ranked]:
        """The `count` best eligible items of an interest, best first; see `tops`."""
        hidden = np.zeros(0, np.int64) if ineligible is None else np.flatnonzero(ineligible)
        return self.tops(state, [interest], hidden, count)[0]

    def tops(
        self, state: Floats | None, interests: Sequence[int], hidden: NDArray[np.int64], count: int
    ) -> list[list[Ranked]]:
        """The `count` best eligible items of each interest, best first, none twice.

        Where they are too few, they are filled up from the neighbouring interests (reason `parent`), then
        with what is popular anywhere; fewer than `count` come back only where no more are eligible at all.

        Args:
            state: of `state`; None = a user without a history, for whom popularity decides.
            hidden: (h,) numbers of items not to show: seen, or excluded by rules.
        """
        item_index, learned = self.item_index, state is not None
        numbers, logp = best_per_interest(
            self.embedding,
            state if state is not None else NOTHING,
            item_index.prior if learned else item_index.popular,
            item_index.start,
            np.array(interests, np.int64),
            hidden,
            count,
        )
        reason, found = SEQUENCE if learned else POPULAR, list[list[Ranked]]()
        known = item_index.engaged[numbers].tolist()
        for row in zip(numbers.tolist(), logp.tolist(), known, strict=True):
            found.append(
                [
                    (number, score, reason if engaged else NEW)
                    for number, score, engaged in zip(*row, strict=True)
                    if number >= 0
                ]
            )
        if all(len(chosen) == count for chosen in found):
            return found
        ineligible = np.zeros(len(item_index), bool)
        ineligible[hidden] = True
        for chosen in found:
            ineligible[[number for number, _, _ in chosen]] = True
        for interest, chosen in zip(interests, found, strict=True):
            for more in (self._from_neighbours, self._from_anywhere):
                if len(chosen) < count:
                    others = more(state, interest, ineligible, count - len(chosen))
                    ineligible[[number for number, _, _ in others]] = True
                    chosen += others
        return found

    def scored(
        self, state: Floats | None, interest: int, ineligible: BoolArray | None
    ) -> tuple[NDArray[np.int64], Floats]:
        """Numbers (m,) of an interest's items, and their log-probabilities; -inf where ineligible."""
        scores = self._scores(state, interest, ineligible)
        start = int(self.item_index.start[interest])
        return np.arange(start, start + len(scores)), _normalised(scores)

    def _scores(self, state: Floats | None, interest: int, ineligible: BoolArray | None) -> Floats:
        """(m,) scores of an interest's items, -inf where ineligible."""
        item_index = self.item_index
        start, end = int(item_index.start[interest]), int(item_index.start[interest + 1])
        if state is None:
            scores = item_index.popular[start:end].copy()
        else:
            scores = self.embedding[start:end] @ state
            scores += item_index.prior[start:end]
        if ineligible is not None:
            scores[ineligible[start:end]] = -np.inf
        return scores

    def _from_neighbours(
        self, state: Floats | None, interest: int, ineligible: BoolArray | None, missing: int
    ) -> list[Ranked]:
        """Items of the nearest interests: share of the interest times that of the item in it."""
        found, scores, eligible = list[NDArray[np.int64]](), list[Floats](), 0
        for other in self.item_index.nearest[interest, :NEIGHBOURS].tolist():
            numbers, logp = self.scored(state, other, ineligible)
            found.append(numbers)
            scores.append(logp + self._log_share[other])
            eligible += int((logp > -np.inf).sum())
            if eligible >= missing:
                break
        return _first(found, scores, missing, PARENT)

    def _from_anywhere(
        self, state: Floats | None, interest: int, ineligible: BoolArray, missing: int
    ) -> list[Ranked]:
        """What is popular over all interests."""
        del state, interest
        scores = np.where(ineligible, np.float32(-np.inf), self.item_index.popular)
        return _first([np.arange(len(scores))], [scores], missing, POPULAR)

    @cached_property
    def _log_share(self) -> Floats:
        """(N,) log-probability of each interest by the popularity of its items."""
        sums = np.bincount(self.interest, np.exp(self.item_index.popular), len(self.item_index.start) - 1)
        return np.log(np.maximum(sums, 1e-12)).astype(np.float32)


def _first(found: list[NDArray[np.int64]], scores: list[Floats], count: int, reason: str) -> list[Ranked]:
    """The best of several sets of items."""
    if not found:
        return []
    numbers = np.concatenate(found)
    places, logp = best_of(np.concatenate(scores), count)
    return [(n, score, reason) for n, score in zip(numbers[places].tolist(), logp.tolist(), strict=True)]


def _normalised(scores: Floats) -> Floats:
    """Log-probabilities from scores; unchanged where all are -inf."""
    if not len(scores):
        return scores
    highest = scores.max()
    if highest == -np.inf:
        return scores
    return np.asarray(scores - (highest + np.log(np.exp(scores - highest).sum())), np.float32)
