"""The same workspace elsewhere: from a folder into a bucket, back, or from bucket to bucket.

What goes into a bucket is what is copied: not what serving remembers, caches, drafts and results of replays.
A copy is there as a whole or not at all: a bucket's index is written last, a folder is moved to its place.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from freshet.core.errors import ConfigError
from freshet.core.ports import ObjectStore
from freshet.storage.durable import make_folder, move_folder
from freshet.storage.ledger import Reporter
from freshet.storage.releases import Releases
from freshet.storage.remote.bucket_workspace import BucketWorkspace
from freshet.storage.remote.checkout import Checkout


@dataclass(frozen=True, slots=True)
class Copied:
    """What was copied.

    Attributes:
        bytes: of all files together.
        release: number of the one that is current, None before the first.
    """

    files: int
    bytes: int
    release: int | None


def into_bucket(folder: Path, url: str, store: ObjectStore, notes: Path, reporter: Reporter) -> Copied:
    """Copy a folder, whose lease the caller holds, into a bucket.

    Args:
        notes: an empty folder for what is known of the files meanwhile.

    Raises:
        ConfigError: there is a workspace there already; it is as it was.
        StoreUnreachable: the bucket can't be reached.
    """
    there = BucketWorkspace(url, store, Checkout(folder, notes), reporter)
    there.create()
    return _copied(there)


def into_folder(url: str, store: ObjectStore, folder: Path, draft: Path, reporter: Reporter) -> Copied:
    """Copy a workspace of a bucket, as its index is now, into a folder that isn't there.

    Args:
        draft: an empty folder beside it, which becomes the folder.

    Raises:
        ConfigError: there is no workspace at the URL, or something at the folder's place.
        ArtifactError: a content is missing or damaged.
        StoreUnreachable: the bucket can't be reached.
    """
    if folder.exists():
        raise ConfigError(
            f"{folder} exists already: nothing was copied", hint="name a folder that isn't there yet"
        )
    make_folder(draft / "workspace")
    make_folder(draft / "notes")
    there = BucketWorkspace(url, store, Checkout(draft / "workspace", draft / "notes"), reporter)
    there.pull()
    for name in there.base.artifacts:
        there.fetch(*name.split("/"))
    copied = _copied(there)
    move_folder(draft / "workspace", folder)
    return copied


def _copied(there: BucketWorkspace) -> Copied:
    files = there.base.files
    number = Releases(there.checkout.root).pointer()
    return Copied(len(files), sum(entry.size for entry in files.values()), number)
