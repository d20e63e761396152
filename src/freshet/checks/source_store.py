"""What every store of event files promises."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from freshet.core.errors import FreshetError
from freshet.core.ports import SourceObject, SourceStore
from freshet.core.urls import Url
from freshet.storage import sql


def check_source_store(store: SourceStore, url: Url, put: Callable[[str, bytes], None]) -> None:
    """Run a store through its port's contract.

    Args:
        url: an empty place in a bucket.
        put: writes an object below it, by the rest of its key.

    Raises:
        AssertionError: a promise is broken; the message says which.
    """

    def at(key: str) -> Url:
        return Url(url.bucket, (*url.parts, *key.split("/")))

    def found(key: str) -> SourceObject:
        one = store.find(at(key))
        assert one is not None, f"{key} was written and is not found"
        return one

    assert store.find(at("none")) is None, "an object was found where there is none"
    assert list(store.below(url)) == [], "an empty place lists objects"
    text = bytes(range(256)) * 40
    for key in ("a/b c.bin", "a/date=2024-01-01/é.bin", "ab/other.bin"):
        put(key, text)
    assert found("a/b c.bin").size == len(text), "an object has another size than it was written with"
    assert store.find(at("a")) is None, "a prefix was found as an object"
    listed = sorted(store.below(at("a")))
    assert listed == sorted([found("a/b c.bin"), found("a/date=2024-01-01/é.bin")]), f"below a/ is {listed}"

    one = found("a/b c.bin")
    with store.open(one) as file:
        file.seek(-10, 2)
        assert file.read() == text[-10:], "the end of an object differs"
        file.seek(300)
        assert file.read(5) == text[300:305], "a range of an object differs"
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        store.copy(one, folder / "copy")
        assert (folder / "copy").read_bytes() == text, "a copy differs"
        pq.write_table(pa.table({"n": range(1000), "m": range(1000)}), folder / "t", row_group_size=100)
        put("t.parquet", (folder / "t").read_bytes())
    with sql.connect() as connection:
        name = store.attach(found("t.parquet"), connection)
        row = connection.execute("SELECT sum(n)::BIGINT FROM read_parquet($1)", [name]).fetchone()
        assert row == (499_500,), "a database reads other values"

        old = found("t.parquet")
        put("a/b c.bin", text[::-1])
        put("t.parquet", text)
        assert _fails(lambda: store.open(one).read()), (
            "an object was read that has changed since it was listed"
        )
        name = store.attach(old, connection)
        refused = False
        try:
            connection.execute("SELECT sum(n) FROM read_parquet($1)", [name]).fetchall()
        except duckdb.Error:
            refused = True
        assert refused, "a database read an object that has changed"
        assert store.failure() is not None, "what went wrong while a database read is not told"
        assert store.failure() is None, "what went wrong is told twice"


def _fails(call: Callable[[], object]) -> bool:
    try:
        call()
    except FreshetError:
        return True
    return False
