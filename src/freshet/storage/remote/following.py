"""Serving from a bucket: what is published there is brought here, and only then named here."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from freshet.core.errors import ArtifactError, FreshetError
from freshet.storage.artifacts import Store
from freshet.storage.release_parts import missing_of, parts_of
from freshet.storage.releases import Releases
from freshet.storage.remote.bucket_index import INDEX
from freshet.storage.remote.bucket_workspace import BucketWorkspace

SECONDS = 1.0
"""Between two looks at the index; one small request each."""
POINTER = "SERVING"
"""File in `.bucket` that says what `CURRENT` does in the bucket. A run on this machine moves the `CURRENT` of
the folder a moment before the bucket has it; a server goes by the bucket."""


class Follower:
    """Looks at the bucket every second, in a thread of its own.

    Args:
        bucket: the workspace.
        store: its artifacts.
    """

    def __init__(self, bucket: BucketWorkspace, store: Store, seconds: float = SECONDS) -> None:
        self._bucket = bucket
        self._store = store
        self._seconds = seconds
        self._seen: str | None = None
        self._problem: FreshetError | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="bucket-follow", daemon=True)

    @property
    def pointer(self) -> Path:
        """The file that names the release which the bucket says is current, all parts of which are here."""
        return self._bucket.checkout.folder / POINTER

    def start(self) -> None:
        """Follow from now on."""
        self._thread.start()

    def stop(self) -> None:
        """End the thread; returns when it has ended."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def check(self) -> None:
        """Raises what was wrong at the last look; everything that was here before stays in use."""
        if self._problem is not None:
            raise self._problem

    def look(self) -> None:
        """Bring what is current in the bucket, if it has changed.

        Raises:
            FreshetError: that can't be done; nothing has changed here.
        """
        tag = self._bucket.store.tag(INDEX)
        if tag == self._seen and tag is not None:
            return
        found = self._bucket.pull()
        current = found.files.get("CURRENT")
        if current is None:
            self.pointer.unlink(missing_ok=True)
        else:
            aside = self.pointer.with_name(f"next-{os.getpid()}")  # several processes may follow
            try:
                self._bucket.blobs.fetch([(current, aside)])
                number = Releases(self._bucket.checkout.root, aside).pointer()
                if number is not None:
                    release = Releases(self._bucket.checkout.root).get(number)
                    parts_of(self._store, release)
                    missing_of(self._store, release)  # it is served without these, if need be
                aside.replace(self.pointer)
            finally:
                aside.unlink(missing_ok=True)
        self._seen = found.tag

    def _follow(self) -> None:
        while not self._ended.wait(self._seconds):
            try:
                self.look()
                self._problem = None
            except FreshetError as error:
                self._problem = error
            except OSError as error:  # this machine's disk
                self._problem = ArtifactError(f"{error.filename}: {error.strerror}")
