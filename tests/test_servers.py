"""The servers that other tests start answer as their clients expect, and refuse what they must."""

from __future__ import annotations

import obstore
import pytest
from obstore.exceptions import BaseError
from obstore.store import from_url

from tests.servers import Bucket


def test_a_bucket_takes_a_key_once(bucket: Bucket) -> None:
    store = from_url(bucket.url)
    obstore.put(store, "key", b"first", mode="create")
    with pytest.raises(BaseError):
        obstore.put(store, "key", b"second", mode="create")
    assert obstore.get(store, "key").bytes() == b"first"


def test_each_test_has_a_bucket_of_its_own(bucket: Bucket) -> None:
    assert list(obstore.list(from_url(bucket.url))) == []


def test_a_bucket_that_is_not_there_is_refused(bucket: Bucket) -> None:
    with pytest.raises((BaseError, FileNotFoundError)):
        obstore.put(from_url(bucket.url + "-none", retry_config={"max_retries": 0}), "key", b"first")


def test_a_wrong_secret_is_refused(s3: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(BaseError):
        obstore.put(from_url(s3.url, retry_config={"max_retries": 0}), "key", b"first")
