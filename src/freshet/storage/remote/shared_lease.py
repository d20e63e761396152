"""The lease of a run in a bucket: that of the folder here, and that of the bucket."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from freshet.core.errors import LeaseLost
from freshet.storage.lease import Lease
from freshet.storage.remote.bucket_lease import BucketLease
from freshet.storage.remote.bucket_workspace import BucketWorkspace


class SharedLease(Lease):
    """What is done in a block of `fenced` is in the bucket when the block has ended.

    Args:
        here: the lease of the folder.
        there: that of the bucket.
        bucket: the workspace.
    """

    def __init__(self, here: Lease, there: BucketLease, bucket: BucketWorkspace) -> None:
        super().__init__(here.path, here.owner, here.took_over)
        self._there = there
        self._bucket = bucket

    @contextmanager
    def fenced(self) -> Iterator[None]:
        if self._there.lost:
            raise LeaseLost(
                f"another run has taken over {self._bucket.url}; this one publishes nothing",
                hint="run the command again: it continues where it was",
                retryable=True,
            )
        with super().fenced():
            yield
        self._bucket.publish()
