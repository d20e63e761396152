"""Files of impressions that hold something else are known as ones that can't be read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from freshet.experiments.measurement.impression_files import IMPRESSIONS, SHOWN, files
from freshet.experiments.measurement.shown_to_people import without_people


def stored(root: Path, table: pa.Table) -> Path:
    path = root / IMPRESSIONS / "date=2024-01-01" / "a.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(table, path)
    return path


ROWS = SHOWN.empty_table()
TEXT = pa.array([], pa.string())


@pytest.mark.parametrize(
    "table",
    [
        ROWS.append_column("propensity", pa.array([], pa.float64())),
        ROWS.set_column(0, "id", pa.array([], pa.binary())),
        ROWS.set_column(1, "time", TEXT),
        ROWS.set_column(4, "context", TEXT),
    ],
    ids=["two of one name", "bytes for text", "text for times", "text for lists"],
)
def test_other_columns_are_unreadable(tmp_path: Path, table: pa.Table) -> None:
    path = stored(tmp_path, table)
    assert files(tmp_path) == ([], [path])


def test_columns_of_another_width_and_missing_ones_are_read(tmp_path: Path) -> None:
    stored(tmp_path, ROWS.drop_columns(["user_key"]).set_column(3, "release", pa.array([], pa.int32())))
    readable, unreadable = files(tmp_path)
    assert (len(readable), unreadable) == (1, [])


def test_a_file_with_a_damaged_page_goes_when_people_are_taken_out(tmp_path: Path) -> None:
    rows = pa.table({"user": pa.array([f"user {number}" for number in range(5000)])})
    path = stored(tmp_path, rows)
    content = bytearray(path.read_bytes())
    content[50:900] = bytes(850)  # its end, with the columns, is whole
    path.write_bytes(content)
    assert without_people(tmp_path, ["user 1"], np.zeros(0, np.uint64)) == 0
    assert not path.exists()
