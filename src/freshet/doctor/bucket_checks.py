"""The objects of a workspace in a bucket: is every content there, and which does nothing name any more?"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from freshet.core.ports import Listed
from freshet.doctor.finding import Finding
from freshet.storage.remote.bucket_index import OBJECTS, Entry, read_index
from freshet.storage.remote.bucket_workspace import BucketWorkspace
from freshet.storage.workspace import Workspace

SAFE_SECONDS = 24 * 3600.0
"""An object that nothing names may be of a run that goes on, and names it last; after so long it is not."""


def find_objects(ws: Workspace) -> Iterator[Finding]:
    """Contents that are missing in the bucket, and objects that are left over; nothing for a folder."""
    bucket = ws.bucket
    if bucket is None:
        return
    index = read_index(bucket.store, bucket.url)
    if index is None:
        return
    there = {one.key: one for one in bucket.store.listed("")}
    for path, entry in sorted(index.files.items()):
        found = there.get(entry.key)
        if found is None or found.size != entry.size:
            yield _missing(bucket, path, entry, found)
    named = {entry.key for entry in index.files.values()}
    newest = max((one.modified for one in there.values()), default=0.0)  # of the service's own clock
    for key, one in sorted(there.items()):
        if key.startswith(f"{OBJECTS}/") and key not in named and newest - one.modified > SAFE_SECONDS:
            yield Finding(
                "object that nothing names",
                key,
                "of an earlier state, or of a run that died; it only takes room",
                "delete it",
                False,
                one.size,
                partial(_delete, bucket, one),
            )


def _missing(bucket: BucketWorkspace, path: str, entry: Entry, found: Listed | None) -> Finding:
    what = "missing content" if found is None else "content of another size"
    means = f"the bucket doesn't have {entry.key}, the content of this file"
    if bucket.checkout.has(path, entry):
        again = partial(bucket.blobs.send, [(bucket.checkout.source(path), entry)])
        return Finding(what, path, means, "write it again: this machine has it", True, fix=again)
    return Finding(what, path, f"{means}; nor does this machine: restore the object", "", True)


def _delete(bucket: BucketWorkspace, found: Listed) -> None:
    """Delete an object, if nothing names it yet, nor has anybody written it anew, to name it next."""
    index = read_index(bucket.store, bucket.url)
    is_old = found in bucket.store.listed(found.key.rpartition("/")[0])
    if is_old and index is not None and found.key not in {entry.key for entry in index.files.values()}:
        bucket.store.delete([found.key])
