"""The items to rank, in the order of their interests, with their features before a moment."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from freshet.core.types import BoolArray


@dataclass(frozen=True, slots=True)
class ItemIndex:
    """V items of N interests; those of one interest lie side by side.

    Attributes:
        ids, titles: V strings each; '' where no title is known.
        start: (N + 1,) items of interest i are start[i] to start[i + 1], not included.
        prior: (V,) added to what a history says: popularity and age, weighed as trained.
        popular: (V,) log-probability of each among all items by the same, weighed without histories: all that
            there is to go by for a user who has none.
        engaged: (V,) whether anybody has engaged with the item yet.
        nearest: (N, N - 1) the other interests, those under the same parents first.
    """

    ids: tuple[str, ...]
    titles: tuple[str, ...]
    start: NDArray[np.int64]
    prior: NDArray[np.float32]
    popular: NDArray[np.float32]
    engaged: BoolArray
    nearest: NDArray[np.int16]

    def __len__(self) -> int:
        return len(self.ids)


def nearest(paths: tuple[tuple[int, ...], ...], vectors: NDArray[np.float32]) -> NDArray[np.int16]:
    """(N, N - 1) for each interest the others: those that share more of the way down the tree come first.

    Args:
        paths: the branch taken at each level, per interest.
        vectors: (N, d) unit vectors; among equally near ones the more alike comes first.
    """
    depth = max(map(len, paths), default=0)
    ways = np.array([(*path, *(-1,) * (depth - len(path))) for path in paths]).reshape(len(paths), depth)
    same = (ways[:, None] == ways[None]) & (ways[:, None] >= 0)  # (N, N, depth)
    shared = np.logical_and.accumulate(same, axis=2).sum(axis=2)
    order = np.lexsort((-(vectors @ vectors.T), -shared), axis=1)  # (N, N)
    others = order != np.arange(len(paths))[:, None]
    return np.asarray(order[others].reshape(len(paths), -1), np.int16)
