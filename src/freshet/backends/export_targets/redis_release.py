"""A release in a Redis server: a hash per last interest, and one key that says which release is read.

Keys, for the prefix `freshet` and a *generation* such as `5-1f09c3aa` (release 5, written once):

- `{freshet}:current` is the generation to read;
- `{freshet:12}:5-1f09c3aa` is a hash of the contexts that end with interest 12: field `` is the context (12)
  alone, field `7` is (7, 12), field `3,7` is (3, 7, 12). `{freshet:}:...` holds the empty context under ``;
- a value is m times a 32-bit id and a 32-bit float, little-endian: the successors and their scores;
- `{freshet}:about:...` is a hash: `release` (JSON) and, by id, the description of each interest.

What stands in braces decides the slot in a cluster: hashes of contexts spread over it, what is switched
together lies together. No command here touches keys of two slots.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit
from uuid import uuid4

import numpy as np
import redis
from numpy.typing import NDArray

from freshet.core.errors import ExportError
from freshet.core.ports import GivenRelease, Progress, RowBlock, Written

VALUE = np.dtype([("id", "<i4"), ("score", "<f4")])
_TOGETHER = 500
"""Commands in one pipeline, and fields in one command."""

_SECONDS = 10.0
"""Without an answer for so long, a server is given up."""


class RedisTarget:
    """A prefix in a Redis server or cluster.

    Args:
        url: such as `redis://host:6379/0?prefix=shop`.
        name: of it, without user and password.
        keep_seconds: for which the release before stays, for readers that began on it.
    """

    def __init__(self, url: str, name: str, keep_seconds: int) -> None:
        parts = urlsplit(url)
        query = parse_qs(parts.query)
        self._prefix = query.pop("prefix", ["freshet"])[-1]
        self._url = urlunsplit(parts._replace(query=urlencode(query, doseq=True)))
        self._keep = keep_seconds
        self.name = name

    def write(self, given: GivenRelease, progress: Progress) -> Written:
        """Write all rows under names of their own, check that all are there, then switch."""
        with self._translated(), self._client() as client:
            keys = _Keys(self._prefix, f"{given.number}-{uuid4().hex[:8]}")
            old = client.get(keys.current)
            client.sadd(keys.generations, keys.generation)
            about = {"release": json.dumps(given.about, ensure_ascii=False)}
            names = zip(given.ids.tolist(), given.descriptions, strict=True)
            client.hset(keys.about, mapping=about | {str(id_): text for id_, text in names})
            size = _write_rows(client, keys, given, progress)
            self._check(client, keys, given)
            self._switch(client, keys, old)
            self._retire(client, keys, old)
        return Written(len(given.contexts), size, f"{self.name} ({keys.generation})")

    def _switch(self, client: Any, keys: _Keys, old: bytes | None) -> None:
        """Let readers read what was written.

        Raises:
            ExportError: another export has switched meanwhile, and deleted this one: its run took over
                while this one was out of reach.
        """
        with client.pipeline(transaction=True) as together:
            try:
                together.watch(keys.current)
                if together.get(keys.current) == old:
                    together.multi()
                    together.hset(keys.about, "finished", "1")
                    together.set(keys.current, keys.generation)
                    together.execute()
                    return
            except redis.WatchError:
                pass
        raise ExportError(
            f"another export to {self.name} ended meanwhile; its release stays",
            hint="does another workspace export there, too? then give each a prefix of its own",
            retryable=True,
        )

    def _check(self, client: Any, keys: _Keys, given: GivenRelease) -> None:
        """Raises ExportError if fields are missing: the server was started again, or evicts keys."""
        last, counts = np.unique(given.contexts[:, -1], return_counts=True)
        pipeline = client.pipeline(transaction=False)
        for one in last.tolist():
            pipeline.hlen(keys.rows(_id(given.ids, one)))
        there = pipeline.execute()
        if there != counts.tolist():
            raise ExportError(
                f"{self.name} has lost {int(counts.sum()) - sum(there):,} of {counts.sum():,} rows while "
                "they were written",
                hint="was it started again, or does its maxmemory-policy evict keys? the old release stays",
                retryable=True,
            )

    def _retire(self, client: Any, keys: _Keys, old: bytes | None) -> None:
        """Let what readers may still read expire; delete at once what an export that died has left."""
        for found in client.smembers(keys.generations):
            generation = found.decode()
            if generation == keys.generation:
                continue
            other = _Keys(self._prefix, generation)
            fields = [field.decode() for field in client.hkeys(other.about)]
            was_read = "finished" in fields or found == old
            ids = [field for field in fields if field not in ("release", "finished")]
            pipeline = client.pipeline(transaction=False)
            for key in [*(other.rows(id_) for id_ in ("", *ids)), other.about]:
                if was_read:
                    pipeline.expire(key, self._keep)
                else:
                    pipeline.unlink(key)
            pipeline.execute()
            client.srem(keys.generations, generation)

    @contextmanager
    def _client(self) -> Iterator[Any]:
        options: dict[str, Any] = {
            "socket_timeout": _SECONDS,
            "socket_connect_timeout": _SECONDS,
            "protocol": 2,
        }
        client: Any = redis.Redis.from_url(self._url, **options)
        try:
            if client.info("cluster").get("cluster_enabled"):
                client.close()
                client = redis.RedisCluster.from_url(self._url, **options)
            yield client
        finally:
            client.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (
            redis.RedisError,
            OSError,
            ValueError,
            TypeError,
        ) as error:  # TypeError: of options in the URL
            raise ExportError(
                f"{self.name} can't be written: {error}",
                hint="is the server there, has it room, and may this user write? the old release stays",
                retryable=True,
            ) from None


class _Keys:
    """Names of a generation's keys."""

    def __init__(self, prefix: str, generation: str) -> None:
        self._prefix = prefix
        self.generation = generation
        self.current = f"{{{prefix}}}:current"
        self.generations = f"{{{prefix}}}:generations"
        self.about = f"{{{prefix}}}:about:{generation}"

    def rows(self, last: str) -> str:
        """Of the contexts that end with an interest, by its id; '' for the empty context."""
        return f"{{{self._prefix}:{last}}}:{self.generation}"


def _write_rows(client: Any, keys: _Keys, given: GivenRelease, progress: Progress) -> int:
    """Write all hashes; returns their bytes, as sent."""
    size = done = 0
    for block in given.blocks():
        pipeline = client.pipeline(transaction=False)
        queued = 0
        for last, rows in block.groups():
            key = keys.rows(_id(given.ids, last))
            fields = _fields(block, rows, given.ids)
            for start in range(0, len(fields), _TOGETHER):
                part = dict(fields[start : start + _TOGETHER])
                size += sum(len(field) + len(value) for field, value in part.items())
                pipeline.hset(key, mapping=part)
                queued += len(part)
            if queued >= _TOGETHER:
                pipeline.execute()
                queued = 0
        pipeline.execute()
        progress(done := done + len(block.contexts), len(given.contexts))
    return size


def _fields(block: RowBlock, rows: slice, ids: NDArray[np.int32]) -> list[tuple[str, bytes]]:
    """(what comes before the last interest, packed successors) of some rows."""
    successors = block.successors[rows].astype(np.int64)
    packed = np.zeros(successors.shape, VALUE)
    packed["id"], packed["score"] = ids[np.maximum(successors, 0)], block.scores[rows]
    lengths = (successors >= 0).sum(axis=1)
    names = [",".join(str(ids[i]) for i in one[:-1] if i >= 0) for one in block.contexts[rows].tolist()]
    return [(name, row[:length].tobytes()) for name, row, length in zip(names, packed, lengths, strict=True)]


def _id(ids: NDArray[np.int32], index: int) -> str:
    return "" if index < 0 else str(ids[index])
