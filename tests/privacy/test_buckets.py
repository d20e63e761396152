"""In a bucket, too: what a person was in is replaced, and its earlier contents are gone at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from freshet.core.types import user_number
from freshet.pipeline import refresh
from freshet.privacy.forgetting import forget
from freshet.storage.ledger import Quiet
from freshet.storage.remote.bucket_index import read_index
from freshet.wiring import open_workspace
from freshet.wiring_buckets import check_out, copy_workspace
from tests.pipeline.world import approving
from tests.privacy.shops import MOMENT, NOW, make_shop
from tests.servers import Bucket

MARKED = "marked-4711"

pytestmark = pytest.mark.slow


def test_contents_are_deleted_from_the_bucket(
    s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FRESHET_CACHE", str(tmp_path / "cache"))
    made = make_shop(tmp_path / "shop", MARKED)
    (made.root / "events.parquet").unlink()
    (made.root / "more.csv").unlink()
    copy_workspace(str(made.root), f"{s3.url}/shop", Quiet())
    ws = open_workspace(check_out(f"{s3.url}/shop"))
    assert ws.bucket is not None
    before = {one.key: one.size for one in ws.bucket.store.listed("objects")}

    done = forget(ws, [MARKED], None, NOW + timedelta(seconds=2))

    assert done.clean, done.searched.traces
    assert min(done.removed[kind] for kind in ("events", "transitions", "user_rows", "quarantine")) > 0
    after = {one.key for one in ws.bucket.store.listed("objects")}
    index = read_index(ws.bucket.store, s3.url)
    assert index is not None
    assert after == {entry.key for entry in index.files.values()}, "contents that nothing names are left"
    assert len(before.keys() - after) > 20
    for number, key in enumerate(sorted(after)):
        content = tmp_path / "contents" / str(number)
        content.parent.mkdir(exist_ok=True)
        ws.bucket.store.download(key, content)
        if b'"people"' not in content.read_bytes():  # receipts name hashes
            assert MARKED.encode() not in content.read_bytes()
            assert user_number(MARKED).to_bytes(8, "little") not in content.read_bytes()

    monkeypatch.setenv("FRESHET_CACHE", str(tmp_path / "another machine"))
    again = open_workspace(check_out(f"{s3.url}/shop"))
    record = approving(lambda: refresh(again, MOMENT, publish=True), again)
    assert record.release
