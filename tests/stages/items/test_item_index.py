"""Items by interest, as they lie on disk."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from freshet.core.errors import ArtifactError
from freshet.stages.items import ItemIndex, nearest, read, write
from tests.stages.items.worlds import item_index


def test_what_was_written_is_read_without_any_pickle(tmp_path: Path) -> None:
    made = item_index(unengaged=(3,))
    write(made, tmp_path / "items")
    again = read(tmp_path / "items")
    for field in fields(ItemIndex):
        np.testing.assert_array_equal(getattr(again, field.name), getattr(made, field.name))
    assert {path.suffix for path in (tmp_path / "items").iterdir()} == {".npy", ".parquet"}


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    write(item_index(), tmp_path / "items")
    (tmp_path / "items" / "prior.npy").unlink()
    with pytest.raises(ArtifactError, match=r"prior\.npy"):
        read(tmp_path / "items")


def test_siblings_are_nearer_than_cousins_and_likeness_decides_among_equals() -> None:
    paths = ((0, 0), (1, 0), (0, 1), (1, 1), (0, 2))
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8], [1, 0], [0.8, 0.6]], np.float32)
    assert nearest(paths, vectors)[0].tolist() == [4, 2, 3, 1]
    assert nearest(((0,), (1,)), vectors[:2]).tolist() == [[1], [0]]
