"""Workspaces by URL: the folder of this machine in which one is worked on, and the bucket behind a folder."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

from freshet.backends.object_stores.obstore_store import ObstoreStore
from freshet.core.config import Config
from freshet.core.errors import ConfigError
from freshet.storage.artifacts import Store
from freshet.storage.durable import make_folder, write_text
from freshet.storage.ledger import Quiet, Reporter
from freshet.storage.releases import Releases
from freshet.storage.remote.bucket_workspace import BucketWorkspace
from freshet.storage.remote.checkout import FOLDER, Checkout
from freshet.storage.remote.following import Follower

ORIGIN = "origin"
"""File in `.bucket` that holds the URL."""
VARIABLE = "FRESHET_CACHE"
_URL = re.compile(r"(s3|gs|az)://([A-Za-z0-9][A-Za-z0-9._-]*)((?:/[A-Za-z0-9._=-]+)*)/?")


def is_url(place: str) -> bool:
    """Whether it names a bucket, or tries to."""
    return "://" in place


def checked_url(url: str) -> str:
    """The URL of a workspace in a bucket, without a slash at its end.

    Raises:
        ConfigError: it is none.
    """
    match = _URL.fullmatch(url)
    if not match or any(part in (".", "..") for part in match[3].split("/")):
        raise ConfigError(
            f"{url!r} is no URL of a workspace",
            hint="expected s3://BUCKET/PREFIX, gs://BUCKET/PREFIX or az://CONTAINER/PREFIX",
        )
    return url.rstrip("/")


def checkout_folder(url: str) -> Path:
    """The folder of this machine for a workspace's URL, made where it isn't there; the bucket isn't asked.

    Raises:
        ConfigError: it is no URL of a bucket.
    """
    url = checked_url(url)
    cache_folder = Path(os.environ.get(VARIABLE, "") or Path.home() / ".cache" / "freshet").absolute()
    name = url.rpartition("/")[2]
    root = cache_folder / "workspaces" / f"{name}-{hashlib.sha256(url.encode()).hexdigest()[:12]}"
    origin = root / FOLDER / ORIGIN
    if not origin.exists():
        make_folder(origin.parent)
        write_text(origin, f"{url}\n")
    return root


def check_out(place: str | Path, reporter: Reporter | None = None) -> Path:
    """The folder of a workspace, whose files are those of the bucket where it is in one.

    Raises:
        ConfigError: there is no workspace.
        StoreUnreachable: the bucket can't be reached.
    """
    root = checkout_folder(place) if isinstance(place, str) and is_url(place) else Path(place)
    found = _opened(root)
    if found is not None:
        found.reporter = reporter or Quiet()
        found.pull()
    return root


def bucket_of(root: Path, reporter: Reporter) -> BucketWorkspace | None:
    """The bucket behind a folder, whose files are those of the bucket then; None where there is none.

    Raises:
        ConfigError: there is no workspace in the bucket.
        StoreUnreachable: the bucket can't be reached.
    """
    found = _opened(root)
    if found is not None:
        found.reporter = reporter
        if found.base.tag is None:
            found.pull()
    return found


@contextmanager
def written_back(root: Path, name: str) -> Iterator[None]:
    """A block that changes one file of a workspace's folder, such as its keys; then the bucket has it, too.

    Raises:
        Busy: somebody changed it at the same time.
        StoreUnreachable: the bucket can't be reached.
    """
    bucket = _opened(root)
    if bucket is None:
        yield
        return
    with bucket.changed(name):
        yield


def new_bucket(url: str) -> BucketWorkspace:
    """What is to become a workspace in a bucket, and its folder here.

    Raises:
        ConfigError: it is no URL of a bucket.
        MissingExtra: the client is not installed.
    """
    return _bucket(checked_url(url), checkout_folder(url).absolute())


def _opened(root: Path) -> BucketWorkspace | None:
    try:
        url = (root / FOLDER / ORIGIN).read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return _bucket(url, root.absolute())


@cache  # one in a process, whose threads take turns in it
def _bucket(url: str, root: Path) -> BucketWorkspace:
    return BucketWorkspace(url, ObstoreStore(url), Checkout(root))


def copy_to_bucket(root: Path, url: str) -> int:
    """Make a workspace in a bucket out of a folder that nobody writes to meanwhile; returns how many files.

    Raises:
        ConfigError: there is one already, or the URL is wrong.
    """
    url = checked_url(url)
    with TemporaryDirectory() as notes:
        bucket = BucketWorkspace(url, ObstoreStore(url), Checkout(root, Path(notes)))
        bucket.create()
        return len(bucket.base.files)


def copy_to_folder(url: str, root: Path, reporter: Reporter) -> int:
    """Make a folder out of a workspace in a bucket, as of one moment; returns how many files.

    Raises:
        ConfigError: there is something already, or no workspace at the URL.
    """
    if root.exists():
        raise ConfigError(f"{root} is there already", hint="name a folder that is not there yet")
    aside = root.with_name(f".{root.name}.part")
    url = checked_url(url)
    with TemporaryDirectory() as notes:
        bucket = BucketWorkspace(url, ObstoreStore(url), Checkout(aside, Path(notes)), reporter)
        make_folder(aside)
        bucket.pull()
        bucket.fetch_all()
    aside.rename(root)
    return len(bucket.base.files)


class Followed:
    """What serving needs to follow a bucket.

    Args:
        bucket: the workspace.
        store: its artifacts.

    Raises:
        FreshetError: what is current can't be brought here.
    """

    def __init__(self, bucket: BucketWorkspace, store: Store) -> None:
        self._follower = Follower(bucket, store)
        self._follower.look()
        self.releases = Releases(bucket.checkout.root, self._follower.pointer)
        self.start, self.stop = self._follower.start, self._follower.stop

    def settings(self, read: Callable[[], Config]) -> Callable[[], Config]:
        """The settings, or what is wrong with the bucket, which is told as wrong settings are."""

        def checked() -> Config:
            self._follower.check()
            return read()

        return checked
