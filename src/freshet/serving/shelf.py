"""Items of the interests that are offered: unseen, eligible, each shown once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from freshet.ranking import Ranker
from freshet.types import History, ItemOffer, Offer
from freshet.types.keys import item_key


@dataclass
class Shelf:
    """A ranker, and how its items are found by key and id.

    Attributes:
        keys: (V,) 64-bit keys of its items, ascending; `order` their numbers.
    """

    ranker: Ranker
    keys: NDArray[np.uint64]
    order: NDArray[np.int64]
    _blocked: dict[frozenset[str], NDArray[np.int64]] = field(default_factory=dict)

    @classmethod
    def of(cls, ranker: Ranker) -> Shelf:
        keys = np.fromiter((item_key(item) for item in ranker.ids), np.uint64, len(ranker.ids))
        order = np.argsort(keys)
        return cls(ranker, keys[order], order)

    def numbers(self, items: Sequence[str]) -> NDArray[np.int64]:
        """Numbers of items by id, without those that are not there."""
        index = self.ranker.index
        return np.array([index[item] for item in items if item in index], np.int64)

    def engaged(self, history: History) -> NDArray[np.int64]:
        """Numbers of the items of a history, oldest first, without those that are not there."""
        if not len(self.keys) or not len(history.items):
            return np.zeros(0, np.int64)
        place = np.minimum(np.searchsorted(self.keys, history.items), len(self.keys) - 1)
        return np.asarray(self.order[place[self.keys[place] == history.items]])

    def stock(
        self,
        offers: Sequence[tuple[Offer, int]],
        engaged: NDArray[np.int64],
        exclude: Sequence[str],
        blocked: frozenset[str],
        count: int,
    ) -> list[Offer]:
        """The offers, each with up to `count` items.

        Args:
            offers: with the index of the interest of each.
            engaged: (m,) numbers of what the user engaged, most recent last; not shown again.
            exclude, blocked: ids not to show.
        """
        if blocked not in self._blocked:
            self._blocked[blocked] = self.numbers(sorted(blocked))
        barred = np.zeros(len(self.keys), bool)
        barred[engaged] = True
        barred[self._blocked[blocked]] = True
        if exclude:
            barred[self.numbers(exclude)] = True
        state = self.ranker.state(engaged)
        ids, titles, found = self.ranker.ids, self.ranker.titles, []
        for offer, interest in offers:
            best = self.ranker.top(state, interest, barred, count)
            barred[[number for number, _, _ in best]] = True
            items = tuple(ItemOffer(ids[number], titles[number], score, why) for number, score, why in best)
            found.append(replace(offer, items=items))
        return found
