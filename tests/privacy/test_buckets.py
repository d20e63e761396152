"""In a bucket, too: what a person was in is replaced, and its earlier contents are gone at once."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from freshet import operations
from freshet.core.types import user_number
from freshet.pipeline import refresh
from freshet.privacy import bucket_cleaning, receipts
from freshet.privacy.forgetting import forget
from freshet.storage.ledger import Quiet
from freshet.storage.remote.bucket_index import read_index
from freshet.storage.workspace import Workspace
from freshet.wiring import open_workspace
from freshet.wiring_buckets import check_out, copy_workspace
from tests.pipeline.world import approving
from tests.privacy.shops import MOMENT, NOW, make_shop
from tests.servers import Bucket

MARKED = "marked-4711"


def make_small(folder: Path) -> None:
    """A workspace with a log, and with texts in which a user stands as in clear."""
    folder.mkdir()
    (folder / "freshet.toml").write_text('[events]\nfiles = ["events.csv"]\n[planner]\nkind = "counts"\n')
    rows = "".join(f"user-{n % 5},i{n % 3},2024-02-0{1 + n % 3}T10:00:0{n % 9}Z\n" for n in range(40))
    (folder / "events.csv").write_text(f"user,item,time\n{rows}user-1,i1,never\n")
    ws = open_workspace(folder)
    operations.import_log(ws, NOW)
    (folder / "runs" / "error-20240101T000000-abcdef.txt").write_text("KeyError: 'user-1'\n")
    (folder / "events.csv").unlink()


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


def test_a_receipt_is_signed_when_the_contents_are_gone(
    s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed before they are, another machine finds out which they were, however recent they are."""
    url = f"{s3.url}/shop"
    make_small(tmp_path / "shop")
    copy_workspace(str(tmp_path / "shop"), url, Quiet())

    def unnamed(ws: Workspace) -> set[str]:
        assert ws.bucket is not None
        index = read_index(ws.bucket.store, url)
        assert index is not None
        return {one.key for one in ws.bucket.store.listed("objects")} - {e.key for e in index.files.values()}

    def killed(*_: object) -> int:
        raise KeyboardInterrupt

    with monkeypatch.context() as first:
        first.setenv("FRESHET_CACHE", str(tmp_path / "cache"))
        first.setattr(bucket_cleaning, "delete_unnamed", killed)
        ws = open_workspace(check_out(url))
        with pytest.raises(KeyboardInterrupt):
            forget(ws, ["user-1"], None, NOW)
        assert len(unnamed(ws)) > 2
        assert not list((ws.root / "privacy").glob("receipts/*"))

    monkeypatch.setenv("FRESHET_CACHE", str(tmp_path / "another machine"))
    again = open_workspace(check_out(url))
    sign, seen = receipts.sign, []

    def signed(root: Path, content: dict[str, object]) -> dict[str, object]:
        for number, key in enumerate(sorted(unnamed(again))):
            assert again.bucket is not None
            again.bucket.store.download(key, tmp_path / f"left-{number}")
            assert b"user-1" not in (tmp_path / f"left-{number}").read_bytes()
        seen.append(content["removed"])
        return sign(root, content)

    monkeypatch.setattr(receipts, "sign", signed)
    assert forget(again, ["user-1"], None, NOW).clean
    assert seen[0]["contents"] > 2
