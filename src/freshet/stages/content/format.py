"""What is stored of content: `items.parquet` (ids and titles by number), interests, vectors, centroids.

Vectors of co-engagement are kept twice: `early` know nothing of the held-out windows, on which the weights of
content are fitted; `full` have learned from everything before as_of, and serve.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numba import njit
from numpy.typing import NDArray

from freshet.core.errors import ArtifactError
from freshet.core.key_index import KeyIndex, place_of
from freshet.core.types import REMEMBERED, Centroids, History, item_key
from freshet.stages.content.vectors import ContentVectors
from freshet.storage.sound_reading import OTHERWISE

Which = Literal["early", "full"]
EARLY: Which = "early"
FULL: Which = "full"
ITEMS = "items.parquet"


@dataclass(frozen=True)
class ContentItems:
    """The items that content knows, found by key.

    Attributes:
        keys: (V,) `item_key` of each, ascending: an item's number is its place among them.
        ids, titles: V strings each ('' = no title is known).
        vectors: of the items.
    """

    keys: NDArray[np.uint64]
    ids: tuple[str, ...]
    titles: tuple[str, ...]
    vectors: ContentVectors

    def last(self, history: History) -> NDArray[np.int32]:
        """(m,) numbers of the items engaged last, most recent last, without those that are not known."""
        return self._last(history.items)

    def listed(self, items: Sequence[str]) -> NDArray[np.int32]:
        """The same of a list of ids, oldest first; of an item that is listed twice, the last place counts."""
        distinct = list(dict.fromkeys(reversed(items)))[::-1]
        keys = np.array([item_key(item) for item in distinct], np.uint64)
        return self._last(keys)

    def profile(self, numbers: NDArray[np.int32]) -> NDArray[np.float32]:
        """(a + b + N,) of the user who engaged these items last; see `ContentVectors.profiles`."""
        return np.asarray(self.vectors.profiles(numbers[None])[0])

    def _last(self, keys: NDArray[np.uint64]) -> NDArray[np.int32]:
        index = self._index
        return np.asarray(_last_known(keys, REMEMBERED, index.keys, index.firsts, index.shift))

    @cached_property
    def _index(self) -> KeyIndex:
        return KeyIndex.of(self.keys)


@njit(cache=True, nogil=True)
def _last_known(wanted, most, keys, firsts, shift):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202  # pragma: no cover - compiled
    """Places of the last keys that are among the known ones, `most` at most, in their order."""
    found = np.empty(most, np.int32)
    size = 0
    for i in range(len(wanted) - 1, -1, -1):
        place = place_of(wanted[i], keys, firsts, shift)
        if place >= 0:
            size += 1
            found[most - size] = place
            if size == most:
                break
    return found[most - size :]


def write(
    ids: Sequence[str],
    titles: Sequence[str],
    interest: NDArray[np.int64],
    text: NDArray[np.float32],
    engaged: Mapping[Which, NDArray[np.float32]],
    centroids: Mapping[Which, Centroids],
    folder: Path,
) -> None:
    """Write items, in the order of their keys, into a folder.

    Args:
        interest: (V,) index of the interest of each; `text` (V, a); `engaged` (V, b) of each kind.
    """
    table = pa.table({"item": pa.array(ids, pa.string()), "title": pa.array(titles, pa.string())})
    pq.write_table(table, folder / ITEMS, compression="zstd")
    np.save(folder / "interest.npy", interest.astype(np.int16), allow_pickle=False)
    np.save(folder / "text.npy", text.astype(np.float16), allow_pickle=False)
    for which, vectors in engaged.items():
        np.save(folder / f"{which}_engaged.npy", vectors.astype(np.float16), allow_pickle=False)
        write_centroids(centroids[which], folder / f"{which}_centroids")


def read_vectors(folder: Path, which: Which) -> ContentVectors:
    """Vectors of one kind, mapped.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    try:
        text, engaged, interest = (
            # as plain arrays: what is mapped stays mapped, and compiled code takes them quicker
            np.asarray(np.load(folder / f"{name}.npy", mmap_mode="r", allow_pickle=False))
            for name in ("text", f"{which}_engaged", "interest")
        )
    except OTHERWISE as error:
        raise _damaged(folder, error) from None
    return ContentVectors(text, engaged, interest, read_centroids(folder / f"{which}_centroids"))


def read_ids(folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ids and titles of the items, by number.

    Raises:
        ArtifactError: the file is missing or damaged.
    """
    try:
        table = pq.read_table(folder / ITEMS)
        ids, titles = (tuple(table.column(name).to_pylist()) for name in ("item", "title"))
    except OTHERWISE as error:
        raise _damaged(folder, error) from None
    return ids, titles


def read_items(folder: Path, which: Which = FULL) -> ContentItems:
    """What serves.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    ids, titles = read_ids(folder)
    keys = np.fromiter((item_key(item) for item in ids), np.uint64, len(ids))
    return ContentItems(keys, ids, titles, read_vectors(folder, which))


def write_centroids(centroids: Centroids, folder: Path) -> None:
    """Write into a new folder."""
    folder.mkdir(parents=True)
    np.save(folder / "text.npy", centroids.text.astype(np.float32), allow_pickle=False)
    np.save(folder / "engaged.npy", centroids.engaged.astype(np.float32), allow_pickle=False)


def read_centroids(folder: Path) -> Centroids:
    """What `write_centroids` wrote.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    try:
        return Centroids(
            *(np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("text", "engaged"))
        )
    except OTHERWISE as error:
        raise _damaged(folder, error) from None


def _damaged(folder: Path, error: Exception) -> ArtifactError:
    return ArtifactError(
        f"content {folder} is missing or damaged: {error}", hint="the next refresh makes it again"
    )
