"""DuckDB is opened in one way, and fetches nothing over the network."""

from __future__ import annotations

from pathlib import Path

import duckdb
import pytest

from freshet.storage import sql

SOURCE = Path(__file__).parents[2] / "src" / "freshet"


def settings(db: duckdb.DuckDBPyConnection) -> dict[str, str]:
    return dict(db.execute("SELECT name, value FROM duckdb_settings()").fetchall())


def test_no_extension_is_fetched_where_a_query_seems_to_need_one(tmp_path: Path) -> None:
    for db in (sql.connect(), sql.connect_spilling(tmp_path)):
        found = settings(db)
        assert found["autoinstall_known_extensions"] == found["autoload_known_extensions"] == "false"
        with pytest.raises(duckdb.Error, match="requires the extension httpfs"):
            db.execute("SELECT * FROM read_parquet('https://localhost:1/nothing.parquet')")


def test_what_is_used_is_built_in() -> None:
    db = sql.connect(threads=1)
    assert settings(db)["threads"] == "1"
    db.execute("SET TimeZone = 'Europe/Berlin'")  # icu
    found = db.execute("SELECT to_json({'a': 1}), TIMESTAMPTZ '2024-01-01 00:00:00+00'").fetchone()
    assert found is not None
    assert found[0] == '{"a":1}'
    assert found[1].utcoffset().total_seconds() == 3600


def test_nobody_opens_it_in_another_way() -> None:
    others = [
        path.relative_to(SOURCE).as_posix()
        for path in SOURCE.rglob("*.py")
        if "duckdb.connect(" in path.read_text(encoding="utf-8")
    ]
    assert others == ["storage/sql.py"]
