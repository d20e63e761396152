"""A release as Parquet files: what a query finds, and what stays of older ones."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

from freshet.backends.export_targets.file_places import FolderPlace
from freshet.backends.export_targets.parquet_release import ParquetTarget
from freshet.checks.export_target import check_export_target, small_release
from freshet.core.ports import silent


def folder_of(root: Path) -> Path:
    return root / json.loads((root / "CURRENT.json").read_text())["folder"]


def look_up(root: Path, context: list[int]) -> list[int]:
    query = f"""SELECT interest FROM '{folder_of(root)}/rows.parquet'
        WHERE context = '{",".join(map(str, context))}' ORDER BY rank"""
    return [row[0] for row in duckdb.sql(query).fetchall()]


def test_it_keeps_the_contract(tmp_path: Path) -> None:
    check_export_target(ParquetTarget(FolderPlace(tmp_path)), lambda context: look_up(tmp_path, context))
    assert sorted(path.name for path in folder_of(tmp_path).iterdir()) == [
        "interests.parquet", "items.parquet", "rows.parquet",
    ]  # fmt: skip


def test_rows_interests_and_items_join(tmp_path: Path) -> None:
    given = small_release(7)
    written = ParquetTarget(FolderPlace(tmp_path)).write(given, silent)
    folder = folder_of(tmp_path)
    found = duckdb.sql(
        f"""SELECT i.description, s.description, r.score, m.item FROM '{folder}/rows.parquet' r
            JOIN '{folder}/interests.parquet' i ON i.interest = r.last
            JOIN '{folder}/interests.parquet' s ON s.interest = r.interest
            LEFT JOIN '{folder}/items.parquet' m ON m.interest = r.interest
            WHERE r.context = '40' AND r.rank = 0"""
    ).fetchall()
    row = [*map(tuple, given.contexts.tolist())].index((-1, 3))
    assert found == [("folk", "jazz", -float(row), "a")]
    assert duckdb.sql(f"SELECT last, context FROM '{folder}/rows.parquet' LIMIT 1").fetchall() == [(None, "")]
    pointer = json.loads((tmp_path / "CURRENT.json").read_text())
    assert (pointer["release"]["number"], pointer["k"]) == (7, 2)
    assert sum(pointer["files"].values()) == written.bytes


def test_the_release_before_stays_and_older_ones_and_remains_go(tmp_path: Path) -> None:
    target = ParquetTarget(FolderPlace(tmp_path))
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "release=1.txt").write_text("somebody's own")
    for number in (1, 2):
        target.write(small_release(number), silent)
    dead = tmp_path / ".export-dead.part"
    dead.mkdir()
    (dead / "rows.parquet").write_bytes(b"half")
    before = folder_of(tmp_path)
    target.write(small_release(3), silent)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(
        ["CURRENT.json", "notes", before.name, folder_of(tmp_path).name]
    )


def test_items_without_an_interest_are_left_out(tmp_path: Path) -> None:
    import numpy as np

    given = replace(small_release(1), items=lambda: iter([(["a", "b", "c"], np.array([0, -1, 3]))]))
    ParquetTarget(FolderPlace(tmp_path)).write(given, silent)
    found = duckdb.sql(f"FROM '{folder_of(tmp_path)}/items.parquet'").fetchall()
    assert found == [("a", 10), ("c", 40)]


def test_a_pointer_that_was_damaged_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "CURRENT.json").write_text("{")
    ParquetTarget(FolderPlace(tmp_path)).write(small_release(1), silent)
    assert look_up(tmp_path, [])


@pytest.mark.parametrize("content", ["[]", '{"folder": 3}'])
def test_another_pointer_is_replaced(tmp_path: Path, content: str) -> None:
    (tmp_path / "CURRENT.json").write_text(content)
    ParquetTarget(FolderPlace(tmp_path)).write(small_release(1), silent)
    assert look_up(tmp_path, [])
