"""A bucket in memory, whose every request can be watched, cut off or failed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from threading import Lock
from uuid import uuid4

from freshet.core.ports import Listed, Stored

Hook = Callable[[str, str], None]
"""Called with (request, key)."""


def _nothing(_: str, __: str) -> None:
    """Let the request pass."""


class Objects:
    """What is in the bucket; several stores may be opened on it."""

    def __init__(self) -> None:
        self.objects: dict[str, Stored] = {}
        self.times: dict[str, float] = {}
        self.lock = Lock()

    def write(self, key: str, data: bytes) -> str:
        self.objects[key] = Stored(data, uuid4().hex)
        self.times[key] = time.time()
        return self.objects[key].tag


class MemoryStore:
    """A client of it; `before` and `after` are called around what a request does, and may raise."""

    def __init__(self, bucket: Objects, before: Hook = _nothing, after: Hook = _nothing) -> None:
        self.bucket = bucket
        self.before, self.after = before, after

    def get(self, key: str) -> Stored | None:
        self.before("get", key)
        found = self.bucket.objects.get(key)
        self.after("get", key)
        return found

    def tag(self, key: str) -> str | None:
        found = self.get(key)
        return None if found is None else found.tag

    def put_new(self, key: str, data: bytes) -> str | None:
        self.before("put_new", key)
        with self.bucket.lock:
            tag = None if key in self.bucket.objects else self.bucket.write(key, data)
        self.after("put_new", key)
        return tag

    def replace(self, key: str, data: bytes, tag: str) -> str | None:
        self.before("replace", key)
        with self.bucket.lock:
            found = self.bucket.objects.get(key)
            new = self.bucket.write(key, data) if found is not None and found.tag == tag else None
        self.after("replace", key)
        return new

    def upload(self, path: Path, key: str) -> None:
        self.before("upload", key)
        self.bucket.write(key, path.read_bytes())
        self.after("upload", key)

    def download(self, key: str, path: Path) -> bool:
        self.before("download", key)
        found = self.bucket.objects.get(key)
        if found is not None:
            path.write_bytes(found.data)
        self.after("download", key)
        return found is not None

    def listed(self, prefix: str) -> Iterator[Listed]:
        self.before("listed", prefix)
        for key, one in sorted(self.bucket.objects.items()):
            if not prefix or key.startswith(f"{prefix.rstrip('/')}/"):
                yield Listed(key, len(one.data), self.bucket.times[key])

    def delete(self, keys: Sequence[str]) -> None:
        self.before("delete", ",".join(keys))
        for key in keys:
            self.bucket.objects.pop(key, None)
