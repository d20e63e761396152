"""Items of the recommended interests: unseen, eligible, each shown once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from freshet.core.types import History, RecommendedItem
from freshet.core.types.ids import item_key
from freshet.stages.items import Ranker


@dataclass
class ItemSelector:
    """A ranker, and how its items are found by key and id.

    Attributes:
        keys: (V,) 64-bit keys of its items, ascending; `order` their numbers.
        firsts: (2**(64 - shift) + 1,) where the keys with the same upper bits begin: keys are hashes, so that
            there are one or two of each.
    """

    ranker: Ranker
    keys: NDArray[np.uint64]
    order: NDArray[np.int64]
    firsts: NDArray[np.int64]
    shift: int
    _blocked: dict[frozenset[str], NDArray[np.int64]] = field(default_factory=dict)

    @classmethod
    def of(cls, ranker: Ranker) -> ItemSelector:
        keys = np.fromiter((item_key(item) for item in ranker.ids), np.uint64, len(ranker.ids))
        order = np.argsort(keys)
        bits = max(1, len(keys).bit_length())
        counts = np.bincount((keys >> np.uint64(64 - bits)).astype(np.int64), minlength=2**bits)
        firsts = np.concatenate([[0], np.cumsum(counts)])
        return cls(ranker, keys[order], order, firsts, 64 - bits)

    def warm(self) -> None:
        """Make now what is made once and kept: where no item is eligible, every way to one is gone."""
        self.numbers(self.ranker.ids[:1])
        self.ranker.top(None, 0, np.ones(len(self.keys), bool), 1)

    def numbers(self, items: Sequence[str]) -> NDArray[np.int64]:
        """Numbers of items by id, without those that are not there."""
        index = self.ranker.index
        return np.array([index[item] for item in items if item in index], np.int64)

    def engaged(self, history: History) -> NDArray[np.int64]:
        """Numbers of the items of a history, oldest first, without those that are not there."""
        return np.asarray(_numbers(history.items, self.keys, self.order, self.firsts, np.uint64(self.shift)))

    def select(
        self,
        interests: Sequence[int],
        engaged: NDArray[np.int64],
        exclude: Sequence[str],
        blocked: frozenset[str],
        count: int,
    ) -> list[tuple[RecommendedItem, ...]]:
        """Up to `count` items of each interest (by index), best first.

        Args:
            engaged: (m,) numbers of what the user engaged, most recent last; not shown again.
            exclude, blocked: ids not to show.
        """
        if blocked not in self._blocked:
            self._blocked[blocked] = self.numbers(sorted(blocked))
        ineligible = np.zeros(len(self.keys), bool)
        ineligible[engaged] = True
        ineligible[self._blocked[blocked]] = True
        if exclude:
            ineligible[self.numbers(exclude)] = True
        ids, titles = self.ranker.ids, self.ranker.titles
        best = self.ranker.tops(self.ranker.state(engaged), interests, ineligible, count)
        return [
            tuple([RecommendedItem(ids[number], titles[number], score, why) for number, score, why in ranked])
            for ranked in best
        ]


@njit(cache=True, nogil=True)
def _numbers(wanted, keys, order, firsts, shift):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover
    found = np.empty(len(wanted), np.int64)
    size = 0
    for i in range(len(wanted)):
        slot = wanted[i] >> shift
        for place in range(firsts[slot], firsts[slot + np.uint64(1)]):
            if keys[place] == wanted[i]:
                found[size] = order[place]
                size += 1
    return found[:size]
