"""Rows on their way from days to users and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from freshet.stages.transitions.day_files import ENGAGEMENT
from freshet.stages.transitions.spill import Pieces, gathered


def numbered(start: int, end: int) -> np.ndarray:
    rows = np.zeros(end - start, ENGAGEMENT)
    rows["time"] = np.arange(start, end)
    return rows


def test_pieces_come_back_in_the_order_of_files(tmp_path: Path) -> None:
    first = Pieces.write(tmp_path / "first", [numbered(0, 2), numbered(2, 5)], np.array([0, 3, 3, 5]))
    second = Pieces.write(tmp_path / "second", [numbered(5, 9)], np.array([0, 1, 4, 4]))
    empty = Pieces.write(tmp_path / "empty", [], np.zeros(4, np.int64))
    files = [first, empty, second]
    assert [gathered(files, piece, ENGAGEMENT)["time"].tolist() for piece in range(3)] == [
        [0, 1, 2, 5],
        [6, 7, 8],
        [3, 4],
    ]


def test_a_file_that_was_cut_off_is_an_error(tmp_path: Path) -> None:
    pieces = Pieces.write(tmp_path / "rows", [numbered(0, 4)], np.array([0, 2, 4]))
    content = pieces.path.read_bytes()
    pieces.path.write_bytes(content[:-1])
    assert len(gathered([pieces], 0, ENGAGEMENT)) == 2
    with pytest.raises(OSError, match="ends too early"):
        gathered([pieces], 1, ENGAGEMENT)
