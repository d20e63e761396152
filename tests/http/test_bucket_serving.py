"""Serving a workspace that lies in a bucket: replicas follow it, outlive its absence, and mend their caches."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from freshet import Recommender, pipeline
from freshet.core.types import AsOf
from freshet.storage.ledger import Quiet
from freshet.wiring import open_workspace
from freshet.wiring_buckets import check_out, checkout_folder, copy_workspace
from tests.cli.conftest import answered
from tests.http.running import running
from tests.http.test_replicas import soon
from tests.servers import Bucket, S3Server, new_bucket, s3_server


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    """A bucket of a server that the test may kill."""
    with s3_server(tmp_path / "s3") as server:
        yield new_bucket(server, monkeypatch)


def _machine(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRESHET_CACHE", str(folder))


def _release(server: object) -> int:
    return int(server.client.get("/v1/release").json()["release"])  # type: ignore[attr-defined]


def test_replicas_follow_a_bucket_and_outlive_it(
    copy: Path, own: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{own.url}/shop"
    settings = copy / "freshet.toml"
    settings.write_text(settings.read_text() + "\n[serving]\nexplore = 0\n")
    copy_workspace(str(copy), url, Quiet())
    _machine(tmp_path / "one", monkeypatch)
    with running(checkout_folder(url), "--no-auth") as one:
        _machine(tmp_path / "other", monkeypatch)
        with running(checkout_folder(url), "--no-auth") as other:
            before = one.explore(user="u1")
            assert other.explore(user="u1")["release"] == before["release"]

            _machine(tmp_path / "batch", monkeypatch)
            ws = open_workspace(check_out(url))
            pipeline.refresh(ws, AsOf.parse("2024-02-26"), publish=True)
            current = ws.releases.pointer()
            assert current != before["release"]
            for server in (one, other):
                soon(lambda server=server: server.explore(user="u1")["release"] == current)

            assert isinstance(own.server, S3Server)
            own.server.kill()
            soon(
                lambda: (
                    "bucket" in one.client.get("/readyz").text or "reached" in one.client.get("/readyz").text
                )
            )
            for server in (one, other):
                assert len(server.explore(user="u1")["interests"]) == 3
            own.server.start()
            soon(lambda: one.client.get("/readyz").status_code == 200)
            answered("rollback", "-w", checkout_folder(url), before["release"])
            for server in (one, other):
                soon(lambda server=server: server.explore(user="u1")["release"] == before["release"])


def test_a_damaged_cache_is_fetched_again(
    copy: Path, s3: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{s3.url}/shop"
    copy_workspace(str(copy), url, Quiet())
    _machine(tmp_path / "cache", monkeypatch)
    with Recommender.open(url) as shop:
        first = shop.recommend(history=[], interests=3)
    tables = [
        path
        for path in checkout_folder(url).glob("tables/**/*")
        if path.suffix in (".bin", ".npy", ".npz", ".parquet")
    ]
    assert tables
    for path in tables:
        path.write_bytes(path.read_bytes()[:-20] + bytes(20))
    with Recommender.open(url) as shop:
        again = shop.recommend(history=[], interests=3)
    assert [one.interest for one in again.interests] == [one.interest for one in first.interests]
    shutil.rmtree(checkout_folder(url))
    with Recommender.open(url) as shop, Recommender.open(url) as beside:
        assert shop.recommend(history=[]).release == beside.recommend(history=[]).release


def test_a_copy_goes_there_and_back(
    copy: Path, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"{bucket.url}/shop"
    _machine(tmp_path / "cache", monkeypatch)
    there = answered("copy", copy, url)
    assert answered("status", "-w", url)["serving"] == answered("status", "-w", copy)["serving"]
    back = answered("copy", url, tmp_path / "laptop")
    assert (there["files"], there["bytes"], there["release"]) == (
        back["files"],
        back["bytes"],
        back["release"],
    )
    for path in sorted((tmp_path / "laptop").rglob("*")):
        if path.is_file() and path.name != "LEASE":
            assert path.read_bytes() == (copy / path.relative_to(tmp_path / "laptop")).read_bytes(), path
    assert not (tmp_path / "laptop/.bucket").exists()
    assert not (copy / ".bucket").exists()

    assert "there is a workspace at" in answered("copy", copy, url, code=2)["error"]["message"]
    assert "exists already" in answered("copy", url, tmp_path / "laptop", code=2)["error"]["message"]
    assert "both folders" in answered("copy", copy, tmp_path / "x", code=2)["error"]["message"]
    assert (
        "no workspace" in answered("copy", f"{bucket.url}/none", tmp_path / "x", code=2)["error"]["message"]
    )
    assert not (tmp_path / "x").exists()
    answered("copy", url, f"{bucket.url}/other")
    assert answered("status", "-w", f"{bucket.url}/other")["serving"]["release"] == there["release"]
