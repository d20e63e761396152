"""The contents of files as objects of a bucket, under their checksums."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from freshet.core.errors import ArtifactError
from freshet.core.ports import ObjectStore, Progress, silent
from freshet.storage.checksums import sha256
from freshet.storage.durable import written
from freshet.storage.remote.bucket_index import Entry

T = TypeVar("T")

AT_ONCE = 16
"""Objects that are fetched or sent at the same time."""
TRIES = 2
"""Times that an object is fetched whose checksum is wrong."""


class Blobs:
    """Sends and fetches contents.

    Args:
        store: the bucket.
        where: of the workspace, for messages.
    """

    def __init__(self, store: ObjectStore, where: str) -> None:
        self._store = store
        self._where = where
        self.sent = 0
        self.fetched = 0

    def send(self, files: Sequence[tuple[Path, Entry]], progress: Progress = silent) -> None:
        """Write contents, each at once or not at all."""

        def one(file: tuple[Path, Entry]) -> int:
            path, entry = file
            self._store.upload(path, entry.key)
            return entry.size

        self.sent += self._all(one, files, progress)

    def fetch(self, files: Sequence[tuple[Entry, Path]], progress: Progress = silent) -> None:
        """Write contents into files, each complete and compared with its checksum, or not at all.

        Raises:
            ArtifactError: one is missing in the bucket, or damaged there.
        """

        def one(file: tuple[Entry, Path]) -> int:
            entry, path = file
            with written(path) as aside:
                self._fetched(entry, aside, path)
            return entry.size

        self.fetched += self._all(one, files, progress)

    def _fetched(self, entry: Entry, aside: Path, path: Path) -> None:
        trouble = ""
        for _ in range(TRIES):
            if not self._store.download(entry.key, aside):
                trouble = "missing"
            elif sha256(aside) == entry.sha256:
                return
            else:
                trouble = "damaged: its checksum differs"
        raise ArtifactError(
            f"{self._where}/{entry.key}, the content of {path.name}, is {trouble}",
            hint="restore the object, or see with `freshet doctor` what can be made again",
        )

    def _all(self, work: Callable[[T], int], items: Iterable[T], progress: Progress) -> int:
        """Do the work for every item, several at once; the sum of what it returns."""
        items = list(items)
        done = 0
        with ThreadPoolExecutor(min(AT_ONCE, max(1, len(items)))) as pool:
            for number, size in enumerate(pool.map(work, items), 1):
                done += size
                progress(number, len(items))
        return done
