"""Files that hold something else, with checksums that fit, are named."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freshet.core.errors import ArtifactError
from freshet.stages import counts, evidence, inference, live, sequence, transitions
from freshet.stages.items import format as items
from freshet.stages.sequence.format import SHAPES
from freshet.stages.table import Table
from freshet.storage.parquet_columns import read_columns
from freshet.storage.sound_reading import sound


def test_what_is_sound_is_given_on_and_what_is_no_damage_passes(tmp_path: Path) -> None:
    @sound
    def read(path: Path, more: int = 1) -> str:
        if more > 1:
            raise RuntimeError("a bug")
        return path.read_text()

    (tmp_path / "a").write_text("it")
    assert read(tmp_path / "a") == "it"
    with pytest.raises(ArtifactError, match="does not hold what it should"):
        read(tmp_path / "b")
    with pytest.raises(RuntimeError):
        read(tmp_path / "a", more=2)


READERS: dict[str, Callable[[Path], object]] = {
    "counts": counts.read,
    "planner rows": inference.read,
    "a sequence model": sequence.read,
    "an overlay": live.read,
    "evidence": lambda folder: evidence.read(folder / "evidence.parquet"),
    "a table": lambda folder: Table(folder, 8),
}


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_empty_files_are_named(read: Callable[[Path], object], tmp_path: Path) -> None:
    for path in ("strengths.json", "origins.json", "overlay.json", "evidence.parquet"):
        (tmp_path / path).write_text("")
    for name in ("base", "last", "popularity", "contexts", "attended", "weights", "successors"):
        (tmp_path / f"{name}.npy").write_bytes(b"")  # numpy: no data left in file
    with pytest.raises(ArtifactError) as refused:
        read(tmp_path)
    assert str(tmp_path) in refused.value.message
    assert refused.value.hint


def test_arrays_of_a_table_that_do_not_go_together_are_named(tmp_path: Path) -> None:
    def store(**changed: np.ndarray) -> None:
        arrays = {
            "contexts": np.arange(-1, 8, dtype=np.int16)[:, None],
            "successors": np.zeros((9, 4), np.int16),
        }
        arrays |= {name: np.zeros((9, 4), np.float32) for name in ("planner", "count", "fused")}
        for name, array in (arrays | changed).items():
            np.save(tmp_path / f"{name}.npy", array)

    store()
    assert len(Table(tmp_path, 8)) == 9
    for name, array in (
        ("contexts", np.full(9, -1, np.int16)),
        ("successors", np.zeros((9, 3), np.int16)),
        ("fused", np.zeros((8, 4), np.float32)),
        ("count", np.zeros((9, 4), "U8")),
    ):
        store(**{name: array})
        with pytest.raises(ArtifactError, match="arrays of"):
            Table(tmp_path, 8)


def test_a_table_of_fewer_interests_is_named(tmp_path: Path) -> None:
    np.save(tmp_path / "contexts.npy", np.arange(-1, 8, dtype=np.int16)[:, None])
    np.save(tmp_path / "successors.npy", np.zeros((9, 4), np.int16))
    for name in ("planner", "count", "fused"):
        np.save(tmp_path / f"{name}.npy", np.zeros((9, 4), np.float32))
    with pytest.raises(ArtifactError, match="which are not those of 7 interests"):
        Table(tmp_path, 7)
    with pytest.raises(ArtifactError, match="has 9 rows, which are not those of 9 interests"):
        Table(tmp_path, 9)


def _stored_sequence(folder: Path) -> None:
    sizes = {"V": 6, "R": 10, "B": 6, "P": 7, "L": 1, "d": 8, "h": 2, "e": 4, "f": 16}
    for name, axes in SHAPES.items():
        shape = [int(axis) if axis.isdigit() else sizes[axis] for axis in axes]
        np.save(folder / f"{name}.npy", np.zeros(shape, np.float32))


@pytest.mark.parametrize("kind", ["complex64", "U8", "int32", ">f4"])
def test_a_sequence_model_of_other_numbers_is_named(tmp_path: Path, kind: str) -> None:
    _stored_sequence(tmp_path)
    assert {field.name for field in fields(sequence.read(tmp_path).weights)} == {*SHAPES}
    np.save(tmp_path / "bias.npy", np.zeros(3, np.float32).astype(kind))
    with pytest.raises(ArtifactError, match="bias is of"):
        sequence.read(tmp_path)


@pytest.mark.parametrize("name", SHAPES)
def test_arrays_that_do_not_go_together_make_no_sequence_model(tmp_path: Path, name: str) -> None:
    _stored_sequence(tmp_path)
    array = np.load(tmp_path / f"{name}.npy")
    others = [array[None], array.reshape(-1)[0]] + ([] if name in ("bias", "prior") else [array[..., :-1]])
    for other in others:
        np.save(tmp_path / f"{name}.npy", other)
        with pytest.raises(ArtifactError, match="has the shape"):
            sequence.read(tmp_path)


def test_columns_of_a_damaged_file_are_named(tmp_path: Path) -> None:
    path = tmp_path / "interests.parquet"
    path.write_bytes(b"PAR1" + bytes(50) + b"PAR1")
    with pytest.raises(ArtifactError, match=r"interests\.parquet does not hold"):
        read_columns(path)


def test_counted_days_that_are_no_days_are_named(tmp_path: Path) -> None:
    content = {"format": 1, "sources": {}, "engagements": {}, "transitions": {"someday": ["a.parquet", 1]}}
    for number in range(1, 9):  # whatever the format is now
        (tmp_path / "days.json").write_text(json.dumps(content | {"format": number}))
        with pytest.raises(ArtifactError, match=r"days\.json can't be read"):
            transitions.referenced(tmp_path)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("start", np.array([0, 2, 3], np.int64)),
        ("start", np.array([0, 5, 4], np.int64)),
        ("prior", np.zeros(3, np.float32)),
        ("popular", np.zeros(4, complex)),
        ("engaged", np.zeros(4, np.int8)),
        ("nearest", np.array([[1], [7]], np.int16)),
        ("nearest", np.array([1, 0], np.int16)),
    ],
)
def test_items_that_do_not_go_together_are_named(tmp_path: Path, name: str, array: np.ndarray) -> None:
    pq.write_table(pa.table({"id": list("abcd"), "title": [""] * 4}), tmp_path / "items.parquet")
    sound_ones = {
        "start": np.array([0, 2, 4], np.int64),
        "prior": np.zeros(4, np.float32),
        "popular": np.zeros(4, np.float32),
        "engaged": np.zeros(4, np.bool_),
        "nearest": np.array([[1], [0]], np.int16),
    }
    for other, whole in sound_ones.items():
        np.save(tmp_path / f"{other}.npy", whole)
    assert len(items.read(tmp_path)) == 4
    np.save(tmp_path / f"{name}.npy", array)
    with pytest.raises(ArtifactError, match="does not hold what it should"):
        items.read(tmp_path)
