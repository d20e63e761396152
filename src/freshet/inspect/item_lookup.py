"""The items of a release as a person looks for them: by parts of title or id, or interest by interest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.core.errors import ArtifactError
from freshet.core.types import BoolArray, Interests
from freshet.inspect.release_view import Opened, artifact
from freshet.stages.interests import load_assignment
from freshet.stages.items import format as rankers
from freshet.storage.manifests import TableManifest, TransitionsManifest
from freshet.storage.release_parts import is_whole
from freshet.storage.sound_reading import OTHERWISE
from freshet.storage.workspace import Workspace

MOST_WORDS = 8
"""Words of a search that count."""
_EDGE = "\x1f"
"""Stands before a title, between it and the id, and behind that, where items are searched."""


@dataclass(frozen=True, slots=True)
class ItemLine:
    """One item: its title, '' where none is known, and its interest by stable id and description."""

    id: str
    title: str
    interest_id: int
    interest: str


@dataclass(frozen=True, slots=True)
class Found:
    """What a search or a page shows, best first, and how many items there are in all."""

    lines: tuple[ItemLine, ...]
    total: int


@dataclass(frozen=True)
class ItemLookup:
    """V items of a release, the most popular first.

    Arrow's arrays take a fraction of the memory of Python's texts, and searching them lets other threads run.

    Attributes:
        ids, titles: (V,) texts; '' where an item has no title.
        interest: (V,) index of the interest of each.
    """

    interests: Interests
    ids: pa.Array
    titles: pa.Array
    interest: NDArray[np.int16]

    @classmethod
    def of(cls, ws: Workspace, opened: Opened) -> ItemLookup:
        """The items of an open release by its ranker; without one, in the order of their ids.

        Raises:
            ArtifactError: what it is read from is missing or damaged.
        """
        ranker = opened.release.ranker
        if ranker and is_whole(ws.store, "rankers", ranker):
            return cls(opened.interests, *_of_ranker(ws, ranker))
        return cls(opened.interests, *_of_catalogue(ws, opened))

    def __len__(self) -> int:
        return len(self.ids)

    def search(self, text: str, count: int) -> Found:
        """Items whose title or id holds every word, without regard to case and accents; '' = all.

        First come those whose title or id is the text, then those where one begins with it, then the others,
        the more popular ones first.
        """
        words = _folded(pa.array([text.replace(_EDGE, " ")], pa.large_string()))[0].as_py().split()
        places, texts = np.arange(len(self)), self._texts
        for word in sorted(words[:MOST_WORDS], key=len, reverse=True):  # the longest leaves the fewest
            held = _holds(texts, word)
            places, texts = places[held], texts.filter(pa.array(held))
        if words:
            wanted = _EDGE + " ".join(words)
            close = 2 * _holds(texts, wanted + _EDGE).astype(np.int8) + _holds(texts, wanted)
            places = places[np.argsort(-close, kind="stable")]
        return Found(self._lines(places[:count]), len(places))

    def of_interest(self, interest: int, first: int, count: int) -> Found:
        """Items of an interest (by index), without the `first` most popular ones, `count` at most."""
        places = np.flatnonzero(self.interest == interest)
        return Found(self._lines(places[first : first + count]), len(places))

    def named(self, ids: Sequence[str]) -> list[ItemLine | None]:
        """The items with these ids, in their order; None for one that the release doesn't have."""
        there = pc.is_in(self.ids, pa.array(ids, self.ids.type))
        lines = {line.id: line for line in self._lines(np.flatnonzero(_flags(there)))}
        return [lines.get(item) for item in ids]

    @cached_property
    def _texts(self) -> pa.Array:
        """What is searched: title and id of each item, folded, with their edges."""
        empty = pa.scalar("", self.ids.type)
        edge = pa.scalar(_EDGE, self.ids.type)
        joined = pc.binary_join_element_wise(empty, _folded(self.titles), _folded(self.ids), empty, edge)
        return joined

    def _lines(self, places: NDArray[np.int64]) -> tuple[ItemLine, ...]:
        columns = self.ids.take(places).to_pylist(), self.titles.take(places).to_pylist()
        ids, names = self.interests.ids, self.interests.descriptions
        return tuple(
            ItemLine(item, title, int(ids[of]), names[of])
            for item, title, of in zip(*columns, self.interest[places].tolist(), strict=True)
        )


Columns = tuple[pa.Array, pa.Array, NDArray[np.int16]]


def _of_ranker(ws: Workspace, version: str) -> Columns:
    folder = artifact(ws, "rankers", version).path / rankers.ITEMS
    try:
        table = pq.read_table(folder / rankers.NAMES)
        start, popular = (
            np.load(folder / f"{name}.npy", allow_pickle=False) for name in ("start", "popular")
        )
        sizes = np.diff(start)
        order = np.argsort(-popular, kind="stable")
        interest = np.repeat(np.arange(len(sizes), dtype=np.int16), sizes)
        return _column(table, "id").take(order), _column(table, "title").take(order), interest[order]
    except OTHERWISE as error:
        raise _damaged(folder, error) from None


def _of_catalogue(ws: Workspace, opened: Opened) -> Columns:
    counted = artifact(ws, "transitions", TableManifest.of(opened.made).inputs.transitions)
    made = artifact(ws, "assignments", TransitionsManifest.of(counted).inputs.assignment)
    assigned = load_assignment(made.path)
    catalogue = artifact(ws, "items", made.manifest["inputs"]["items"]).path / "items.parquet"
    try:
        table = pq.read_table(catalogue, columns=["item", "title"])
        ids = pa.array(assigned.items, pa.large_string())
        place = pc.index_in(ids, _column(table, "item"))
        titles = pc.fill_null(_column(table, "title").take(place), "")
    except OTHERWISE as error:
        raise _damaged(catalogue, error) from None
    return ids, titles, assigned.interest.astype(np.int16)


def _column(table: pa.Table, name: str) -> pa.Array:
    """A column as one array of texts, '' where there is none."""
    return pc.fill_null(table.column(name).cast(pa.large_string()).combine_chunks(), "")


def _folded(texts: pa.Array) -> pa.Array:
    """Texts in lower case, without accents, and without anything that looks like an edge."""
    apart = pc.utf8_normalize(pc.utf8_lower(texts), "NFKD")
    return pc.replace_substring_regex(apart, r"[\p{M}\x1f]", "")


def _holds(texts: pa.Array, part: str) -> BoolArray:
    return _flags(pc.match_substring(texts, part))


def _flags(answers: pa.Array) -> BoolArray:
    return np.asarray(answers.to_numpy(zero_copy_only=False), bool)


def _damaged(path: object, error: Exception) -> ArtifactError:
    return ArtifactError(f"{path} is missing or damaged: {error}", hint="`freshet doctor` tells what is lost")
