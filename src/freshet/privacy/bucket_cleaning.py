"""What forgetting means for a bucket: changed artifacts are written back, earlier contents are deleted.

Only then is a receipt signed. What has to go is noted with what is written back, so that a call that goes on
where another was killed, on this machine or on another one, knows it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from freshet.storage.remote.bucket_index import OBJECTS, read_index
from freshet.storage.remote.bucket_workspace import BucketWorkspace

_RECENT = 300.0
"""Seconds: an object that nothing names is deleted once it is older; a newer one may be named in a moment."""


@contextmanager
def rewriting(bucket: BucketWorkspace | None, note: Callable[[set[str]], None]) -> Iterator[None]:
    """A block in which artifacts that the bucket has may change; they are written back when it ends well.

    Args:
        note: called before with the keys of the contents that are replaced then; what it writes to the
            workspace is written back with them.
    """
    if bucket is None:
        yield
        return
    bucket.rewriting = True
    try:
        yield
        note(bucket.replaced())
        bucket.publish()
    finally:
        bucket.rewriting = False


def delete_unnamed(bucket: BucketWorkspace, noted: Collection[str]) -> int:
    """Delete contents that the bucket's files no longer have, at once; returns how many.

    Args:
        noted: keys of those that go whatever their age; of others only what is not recent does.
    """
    index = read_index(bucket.store, bucket.url)
    if index is None:
        return 0
    named = {entry.key for entry in index.files.values()}
    mine = bucket.superseded.union(noted)
    listed = list(bucket.store.listed(f"{OBJECTS}"))
    newest = max((one.modified for one in listed), default=0.0)  # of the service's own clock
    gone = [
        one.key
        for one in listed
        if one.key not in named and (one.key in mine or newest - one.modified > _RECENT)
    ]
    if gone:
        bucket.store.delete(gone)
    bucket.superseded.clear()
    return len(gone)
