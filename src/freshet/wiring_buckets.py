"""Workspaces by URL: the folder of this machine in which one is worked on, and the bucket behind a folder."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from freshet.backends.object_stores.obstore_store import ObstoreStore
from freshet.core.config import Config
from freshet.core.errors import ConfigError
from freshet.storage.artifacts import Store
from freshet.storage.durable import make_folder, write_text
from freshet.storage.lease import lease
from freshet.storage.ledger import Quiet, Reporter
from freshet.storage.releases import Releases
from freshet.storage.remote.bucket_workspace import BucketWorkspace
from freshet.storage.remote.checkout import FOLDER, Checkout
from freshet.storage.remote.copying import Copied, into_bucket, into_folder
from freshet.storage.remote.following import Follower

SETTINGS = "freshet.toml"
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
    except (OSError, UnicodeError):  # a name that no folder has
        return None
    return _bucket(url, root.absolute())


@cache  # one in a process, whose threads take turns in it
def _bucket(url: str, root: Path) -> BucketWorkspace:
    return BucketWorkspace(url, ObstoreStore(url), Checkout(root))


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


def copy_workspace(source: str, target: str, reporter: Reporter) -> Copied:
    """Copy a workspace between a folder and a bucket, or two buckets; the source stays as it is.

    Raises:
        ConfigError: both are folders, there is no workspace at the source, or something at the target.
        Busy: a run is writing in the source's folder.
        StoreUnreachable: a bucket can't be reached.
    """
    if not is_url(source) and not is_url(target):
        raise ConfigError(
            f"{source} and {target} are both folders",
            hint="copy a folder with `cp -r` while nothing runs in it; `freshet copy` is for buckets",
        )
    urls = [url.rstrip("/") for url in (source, target) if is_url(url)]
    for url in urls:
        checkout_folder(url)  # refuses what is no URL
    with tempfile.TemporaryDirectory(dir=None if is_url(target) else _beside(Path(target))) as made:
        scratch = Path(made)
        if not is_url(target):
            return into_folder(urls[0], ObstoreStore(urls[0]), Path(target), scratch, reporter)
        folder = Path(source)
        if is_url(source):
            folder = scratch / "between"
            into_folder(urls[0], ObstoreStore(urls[0]), folder, scratch / "draft", reporter)
        elif not (folder / SETTINGS).is_file():
            raise ConfigError(f"{folder} holds no {SETTINGS}", hint="name the folder of a workspace")
        make_folder(scratch / "notes")
        with lease(folder / "LEASE", "copy", say=reporter.say):
            return into_bucket(folder, urls[-1], ObstoreStore(urls[-1]), scratch / "notes", reporter)


def _beside(folder: Path) -> Path:
    above = folder.absolute().parent
    if not above.is_dir():
        raise ConfigError(f"{above} is no folder", hint="make it first")
    return above
