"""Releases in a bucket of a real S3 server: Parquet files and the binary file."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from freshet.backends.object_stores.obstore_store import ObstoreStore
from freshet.checks.export_target import check_export_target, small_release
from freshet.core.errors import StoreUnreachable
from freshet.core.ports import silent
from freshet.wiring_exports import open_target
from tests.servers import Bucket

pytestmark = pytest.mark.slow


def test_parquet_in_a_bucket_keeps_the_contract(s3: Bucket, tmp_path: Path) -> None:
    url = f"{s3.url}/shop/table"
    store, local = ObstoreStore(url), tmp_path / "rows.parquet"

    def look_up(context: list[int]) -> list[int]:
        found = store.get("CURRENT.json")
        assert found is not None
        assert store.download(f"{json.loads(found.data)['folder']}/rows.parquet", local)
        query = (
            f"SELECT interest FROM '{local}' WHERE context = '{','.join(map(str, context))}' ORDER BY rank"
        )
        return [row[0] for row in duckdb.sql(query).fetchall()]

    target = open_target(tmp_path, url, 60)
    check_export_target(target, look_up)
    found = store.get("CURRENT.json")
    assert found is not None
    folders = {one.key.partition("/")[0] for one in store.listed("")}
    assert len(folders) == 3  # the pointer, the folder it names and the one before
    assert json.loads(found.data)["folder"] in folders


def test_the_binary_file_in_a_bucket_is_replaced(s3: Bucket, tmp_path: Path) -> None:
    target = open_target(tmp_path, f"{s3.url}/shop/table.freshet", 60)
    for number in (1, 2):
        written = target.write(small_release(number), silent)
    store = ObstoreStore(f"{s3.url}/shop")
    assert [(one.key, one.size) for one in store.listed("")] == [("table.freshet", written.bytes)]
    assert store.download("table.freshet", tmp_path / "copy")
    assert b'"number": 2' in (tmp_path / "copy").read_bytes()


def test_a_bucket_that_is_not_there_is_told(s3: Bucket, tmp_path: Path) -> None:
    target = open_target(tmp_path, "s3://no-such-bucket/shop", 60)
    with pytest.raises(StoreUnreachable):
        target.write(small_release(1), silent)
