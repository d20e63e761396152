"""Artifacts of a workspace in a bucket: written there when committed, fetched when opened."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from freshet.storage.artifacts import Artifact, Draft, Store
from freshet.storage.remote.bucket_workspace import BucketWorkspace


class BucketStore:
    """A store that keeps the bucket as it is itself.

    Args:
        here: the artifacts of the folder of this machine.
        bucket: the workspace.
    """

    def __init__(self, here: Store, bucket: BucketWorkspace) -> None:
        self._here = here
        self._bucket = bucket

    def find(self, kind: str, version: str) -> Artifact | None:
        found = self._here.find(kind, version)
        return None if found is None else replace(found, fetch=partial(self._bucket.fetch, kind, version))

    @contextmanager
    def create(self, kind: str, version: str) -> Iterator[Draft]:
        with self._here.create(kind, version) as draft:
            yield draft
        self._bucket.push()

    def versions(self, kind: str) -> list[str]:
        return self._here.versions(kind)
