from __future__ import annotations

from pathlib import Path

import pytest

from freshet.core.errors import InputError

from .shop import LOG, parquet, put, quarters
from .sources import take


def table(folder: Path) -> Path:
    for n, rows in enumerate(quarters()):
        parquet(folder / f"part-{n:05}-c000.snappy.parquet", rows)
    return folder


def commit(folder: Path, version: int, *actions: str) -> None:
    lines = "\n".join(f'{{"{action}":{{"path":"part-00003-c000.snappy.parquet"}}}}' for action in actions)
    put(folder / "_delta_log" / f"{version:020}.json", lines)


def test_a_delta_table_that_only_grew_is_its_files(tmp_path: Path) -> None:
    folder = table(tmp_path / "in")
    commit(folder, 0, "protocol", "add")
    commit(folder, 1, "add")
    assert take(tmp_path / "w", folder).added == len(LOG)


@pytest.mark.parametrize("version", [0, 7])
def test_rows_deleted_from_a_delta_table_do_not_come_back(tmp_path: Path, version: int) -> None:
    """Nor those that it may have deleted before its log was cut."""
    folder = table(tmp_path / "in")
    commit(folder, version, "add")
    commit(folder, version + 1, *(["commitInfo", "remove"] if version == 0 else ["add"]))
    with pytest.raises(InputError, match="in is a Delta Lake table: its files also hold rows") as e:
        take(tmp_path / "w", tmp_path)
    assert "glob" in e.value.hint
    assert take(tmp_path / "w", folder / "*.parquet").added == len(LOG)


@pytest.mark.parametrize(
    ("name", "what"),
    [("metadata/v1.metadata.json", "an Iceberg table"), (".hoodie/hoodie.properties", "a Hudi table")],
)
def test_other_table_formats_are_refused(tmp_path: Path, name: str, what: str) -> None:
    folder = table(tmp_path / "in" / "shop")
    put(folder / name, "{}")
    with pytest.raises(InputError, match=f"shop is {what}"):
        take(tmp_path / "w", tmp_path / "in")
