from __future__ import annotations

from collections.abc import Callable

import obstore
import pytest
from obstore.store import from_url

from freshet.backends.object_stores.source_objects import BucketObjects
from freshet.checks import check_source_store
from freshet.core.urls import Url
from tests.servers import Bucket


def _place(bucket: Bucket) -> tuple[Url, Callable[[str, bytes], None]]:
    store = from_url(bucket.url)
    return Url(bucket.url, ("here",)), lambda key, data: obstore.put(store, f"here/{key}", data)


def test_buckets_keep_the_contract(bucket: Bucket) -> None:
    check_source_store(BucketObjects(), *_place(bucket))


class Careless(BucketObjects):
    """It reads whatever an object holds by now."""

    def _range(self, found, start, end):  # type: ignore[no-untyped-def]
        return super()._range(self.find(found.url), start, end)


def test_a_store_that_reads_what_has_changed_is_refused(s3: Bucket) -> None:
    with pytest.raises(AssertionError, match="has changed since it was listed"):
        check_source_store(Careless(), *_place(s3))
