"""What items are about, as vectors: what there is to go by for an item that nobody has engaged yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.stages.interests import model, text


@dataclass(frozen=True, slots=True)
class About:
    """The assigned items of a catalogue, those of one interest side by side, else sorted by id.

    Attributes:
        ids, titles: V strings each.
        interest: (V,) index of the interest of each, ascending.
        vectors: (V, a) text vector, and the centroid of the interest, beside each other.
    """

    ids: tuple[str, ...]
    titles: tuple[str, ...]
    interest: NDArray[np.int16]
    vectors: NDArray[np.float32]

    def take(self, kept: NDArray[np.bool_]) -> About:
        """The chosen items."""
        chosen = np.flatnonzero(kept)
        return About(
            tuple(self.ids[i] for i in chosen),
            tuple(self.titles[i] for i in chosen),
            self.interest[kept],
            self.vectors[kept],
        )


def about(interests: Path, assignment: Path, items: Path) -> About:
    """Read them from the folders of three artifacts.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    assigned = model.load_assignment(assignment)
    order = np.argsort(assigned.interest, kind="stable")
    ids = tuple(assigned.items[i] for i in order)
    interest = assigned.interest[order]
    titles, texts = _said(items, ids)
    words = model.open_model(interests).text
    own = words.vectors(words.counts(text.documents(titles, texts)))
    of_interest = model.load(interests).vectors[interest]
    return About(
        ids, tuple(titles), interest.astype(np.int16), np.hstack([own, of_interest]).astype(np.float32)
    )


def _said(items: Path, ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """Title and text of each item; '' where the catalogue says nothing."""
    table = pq.read_table(items / "items.parquet", columns=["item", "title", "text"])
    known = {
        item: (title or "", text or "")
        for item, title, text in zip(*(column.to_pylist() for column in table.columns), strict=True)
    }
    found = [known.get(item, ("", "")) for item in ids]
    return [title for title, _ in found], [words for _, words in found]
