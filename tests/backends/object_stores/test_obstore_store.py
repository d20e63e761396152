"""S3 and Azure through `obstore`, each against a server."""

from __future__ import annotations

import pytest

from freshet.backends.object_stores.obstore_store import ObstoreStore
from freshet.checks.object_store import check_object_store
from freshet.core.errors import StoreUnreachable
from tests.servers import Bucket


@pytest.mark.slow
def test_it_keeps_the_contract(bucket: Bucket) -> None:
    check_object_store(lambda: ObstoreStore(f"{bucket.url}/some/prefix"))


@pytest.mark.slow
def test_wrong_credentials_are_told(s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StoreUnreachable, match=r"refuses access|can't be reached") as caught:
        ObstoreStore(s3.url).get("x")
    assert "credentials" in caught.value.hint or caught.value.retryable


@pytest.mark.slow
def test_a_bucket_that_is_not_there_is_told(bucket: Bucket) -> None:
    store = ObstoreStore(f"{bucket.url}-other/x")
    with pytest.raises(StoreUnreachable):
        store.put_new("x", b"1")
    with pytest.raises(StoreUnreachable, match="there is no such bucket"):
        store.get("x")


def test_a_server_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setattr("freshet.backends.object_stores.opening.TRIES", 0)
    with pytest.raises(StoreUnreachable, match="can't be reached") as caught:
        ObstoreStore("s3://shop").get("x")
    assert caught.value.retryable
