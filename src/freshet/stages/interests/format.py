"""What a build leaves behind on disk, and how it is read again.

`interests.parquet`, `vectors.npy` (N, d), `assignment.parquet`, `model.json`, `text/` (the text model and
the interests' centroids in its space). Plain Parquet, NumPy and JSON, written in a fixed order.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from freshet.core.errors import ArtifactError
from freshet.core.types import Interests
from freshet.stages.interests import item_text
from freshet.stages.interests.item_text import TextModel
from freshet.storage.parquet_columns import numbers, read_columns
from freshet.storage.sound_reading import OTHERWISE

FIT, TEXT, CO_ENGAGEMENT, TAXONOMY = "fit", "text", "co-engagement", "taxonomy"
"""How an item got its interest."""


@dataclass(frozen=True, slots=True)
class Model:
    """Everything needed to give a new item its interest.

    Attributes:
        text: the text model.
        centroids: (N, a) unit mean text vector of each interest's items; zero where they have no text.
        taxonomy: the item column that names the interest; '' when interests are clusters.
        values: column value -> interest index.
        other: index of the interest that takes other values, or -1.
        next_id: the first id that no interest ever had.
        encoder: version of what gave the text vectors behind the centroids; '' = the text model.
    """

    text: TextModel
    centroids: NDArray[np.float32]
    taxonomy: str
    values: Mapping[str, int]
    other: int
    next_id: int
    encoder: str = ""


@dataclass(frozen=True, slots=True)
class Assignment:
    """Items with an interest: (n,) ids sorted, their interest index, and how they got it."""

    items: tuple[str, ...]
    interest: NDArray[np.int64]
    how: tuple[str, ...]

    def as_dict(self) -> dict[str, int]:
        return dict(zip(self.items, self.interest.tolist(), strict=True))


def save_model(model: Model, into: Path) -> None:
    """Write the model into a folder."""
    into.mkdir(parents=True, exist_ok=True)
    model.text.save(into / "text")
    np.save(into / "text" / "centroids.npy", model.centroids)
    known = {
        "taxonomy": model.taxonomy,
        "values": dict(sorted(model.values.items())),
        "other": model.other,
        "next_id": model.next_id,
    }
    if model.encoder:
        known["encoder"] = model.encoder
    text = json.dumps(known, indent=1, ensure_ascii=False)
    (into / "model.json").write_text(text + "\n", encoding="utf-8")


def open_model(path: Path) -> Model:
    """Raises ArtifactError if a file is missing or damaged."""
    try:
        known = json.loads((path / "model.json").read_text(encoding="utf-8"))
        centroids = np.load(path / "text" / "centroids.npy", allow_pickle=False)
        taxonomy, other, next_id = known["taxonomy"], known["other"], known["next_id"]
        words, encoder = TextModel.load(path / "text"), known.get("encoder", "")
        return Model(words, centroids, taxonomy, known["values"], other, next_id, encoder)
    except OTHERWISE as error:
        raise _damaged(path, error) from None


def save_assignment(assignment: Assignment, into: Path) -> None:
    """Write which interest every item belongs to, and how it got there."""
    into.mkdir(parents=True, exist_ok=True)
    table = pa.table(
        {
            "item": pa.array(assignment.items, pa.string()),
            "interest": pa.array(assignment.interest.astype(np.int16), pa.int16()),
            "how": pa.array(assignment.how, pa.string()),
        }
    )
    pq.write_table(table, into / "assignment.parquet", compression="zstd")


def load_assignment(path: Path) -> Assignment:
    """Raises ArtifactError if the file is missing or damaged."""
    try:
        table = read_columns(path / "assignment.parquet")
        interest = numbers(table.column("interest")).astype(np.int64)
        items, how = table.column("item").to_pylist(), table.column("how").to_pylist()
    except OTHERWISE as error:
        raise _damaged(path, error) from None
    return Assignment(tuple(items), interest, tuple(how))


def save_interests(interests: Interests, rows: Mapping[str, Sequence[Any]], into: Path) -> None:
    """`rows` holds further columns of interests.parquet: path, items, traffic, coherence, sample_items."""
    into.mkdir(parents=True, exist_ok=True)
    table = pa.table(
        {
            "index": pa.array(range(len(interests)), pa.int16()),
            "id": pa.array(interests.ids, pa.int32()),
            "description": pa.array(interests.descriptions, pa.string()),
            "path": pa.array(rows["path"], pa.list_(pa.int32())),
            "items": pa.array(rows["items"], pa.int64()),
            "traffic": pa.array(rows["traffic"], pa.float64()),
            "coherence": pa.array(rows["coherence"], pa.float64()),
            "sample_items": pa.array(rows["sample_items"], pa.list_(pa.string())),
        }
    )
    pq.write_table(table, into / "interests.parquet", compression="zstd")
    np.save(into / "vectors.npy", interests.vectors)


def load_paths(path: Path) -> tuple[tuple[int, ...], ...]:
    """The path of each interest in the tree; raises ArtifactError if the file is damaged."""
    try:
        table = read_columns(path / "interests.parquet", columns=["path"])
    except OTHERWISE as error:
        raise _damaged(path, error) from None
    return tuple(tuple(row) for row in table.column("path").to_pylist())


def load(path: Path) -> Interests:
    """The interests of an artifact folder, in index order.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    try:
        table = read_columns(path / "interests.parquet", columns=["id", "description"])
        vectors = np.load(path / "vectors.npy", allow_pickle=False)
        ids = numbers(table.column("id")).astype(np.int32)
        descriptions = tuple(table.column("description").to_pylist())
    except OTHERWISE as error:
        raise _damaged(path, error) from None
    return Interests(ids, descriptions, vectors)


def _damaged(path: Path, error: Exception) -> ArtifactError:
    return ArtifactError(f"interests {path} are missing or damaged: {error}", hint="rebuild the interests")


@dataclass(frozen=True)
class ItemFeatures:
    """The assigned items of a catalogue, those of one interest side by side, else sorted by id.

    Attributes:
        made_of: folder of the interests, whose text model reads them.
        items: folder of the catalogue.
        ids, titles: V strings each.
        interest: (V,) index of the interest of each, ascending.
    """

    made_of: Path
    items: Path
    ids: tuple[str, ...]
    titles: tuple[str, ...]
    interest: NDArray[np.int16]

    def take(self, kept: NDArray[np.bool_]) -> ItemFeatures:
        """The chosen items."""
        chosen = np.flatnonzero(kept)
        ids, titles = (tuple(column[i] for i in chosen) for column in (self.ids, self.titles))
        return ItemFeatures(self.made_of, self.items, ids, titles, self.interest[kept])

    @cached_property
    def vectors(self) -> NDArray[np.float32]:
        """(V, a) text vector, and the centroid of the interest, beside each other; texts are read for it.

        Raises:
            ArtifactError: a file is missing or damaged.
        """
        own = text_vectors(self.made_of, *_texts_of(self.items, self.ids))
        of_interest = load(self.made_of).vectors[self.interest]
        return np.hstack([own, of_interest]).astype(np.float32)


def item_features(interests: Path, assignment: Path, items: Path) -> ItemFeatures:
    """Read them from the folders of three artifacts.

    Raises:
        ArtifactError: a file is missing or damaged.
    """
    assigned = load_assignment(assignment)
    order = np.argsort(assigned.interest, kind="stable")
    ids = tuple(assigned.items[i] for i in order)
    titles, _ = _texts_of(items, ids)
    return ItemFeatures(interests, items, ids, tuple(titles), assigned.interest[order].astype(np.int16))


def text_vectors(interests: Path, titles: Sequence[str], texts: Sequence[str]) -> NDArray[np.float64]:
    """(n, a) what items say, in the space of the interests' own text model; zero where no word is known.

    Raises:
        ArtifactError: a file of the interests is missing or damaged.
    """
    words = open_model(interests).text
    return words.vectors(words.counts(item_text.documents(titles, texts)))


def _texts_of(items: Path, ids: Sequence[str]) -> tuple[list[str], list[str]]:
    """Title and text of each item; '' where the catalogue says nothing."""
    table = read_columns(items / "items.parquet", columns=["item", "title", "text"])
    known = {
        item: (title or "", text or "")
        for item, title, text in zip(*(column.to_pylist() for column in table.columns), strict=True)
    }
    found = [known.get(item, ("", "")) for item in ids]
    return [title for title, _ in found], [words for _, words in found]
