"""Items of the recommended interests: unseen, eligible, each shown once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numba import njit
from numpy.typing import NDArray

from freshet.core.key_index import KeyIndex, place_of
from freshet.core.types import History, RecommendedItem
from freshet.core.types.ids import item_key
from freshet.stages.items import Ranker


@dataclass
class ItemSelector:
    """A ranker, and how its items are found by key and id.

    Attributes:
        places: of the keys of its items; `order` (V,): the number of the item at each.
    """

    ranker: Ranker
    places: KeyIndex
    order: NDArray[np.int64]
    _blocked: dict[frozenset[str], NDArray[np.int64]] = field(default_factory=dict)

    @classmethod
    def of(cls, ranker: Ranker) -> ItemSelector:
        keys = np.fromiter((item_key(item) for item in ranker.ids), np.uint64, len(ranker.ids))
        order = np.argsort(keys)
        return cls(ranker, KeyIndex.of(keys[order]), order)

    def warm(self) -> None:
        """Make now what is made once and kept: where no item is eligible, every way to one is gone."""
        self.numbers(self.ranker.ids[:1])
        self.ranker.top(None, 0, np.ones(len(self.order), bool), 1)

    def numbers(self, items: Sequence[str]) -> NDArray[np.int64]:
        """Numbers of items by id, without those that are not there."""
        index = self.ranker.index
        return np.array([index[item] for item in items if item in index], np.int64)

    def engaged(self, history: History) -> NDArray[np.int64]:
        """Numbers of the items of a history, oldest first, without those that are not there."""
        places = self.places
        return np.asarray(_numbers(history.items, self.order, places.keys, places.firsts, places.shift))

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
        hidden = engaged
        if blocked or exclude:
            hidden = np.concatenate([engaged, self._blocked[blocked], self.numbers(exclude)])
        ids, titles = self.ranker.ids, self.ranker.titles
        best = self.ranker.tops(self.ranker.state(engaged), interests, hidden, count)
        return [
            tuple([RecommendedItem(ids[number], titles[number], score, why) for number, score, why in ranked])
            for ranked in best
        ]


@njit(cache=True, nogil=True)
def _numbers(wanted, order, keys, firsts, shift):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover
    found = np.empty(len(wanted), np.int64)
    size = 0
    for i in range(len(wanted)):
        place = place_of(wanted[i], keys, firsts, shift)
        if place >= 0:
            found[size] = order[place]
            size += 1
    return found[:size]
