"""Reads a release that `freshet export` gave to Redis; docs/reference/export.md describes the keys."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import redis


def look_up(client: redis.Redis, context: list[int], prefix: str = "freshet") -> list[tuple[int, float]]:
    """(interest, score) of the successors, best first.

    Args:
        context: stable ids, most recent last; where it has no row, its last ones are looked up, then what is
            popular.
    """
    generation = client.get(f"{{{prefix}}}:current").decode()
    for row in _rows(client, context, prefix, generation):
        found = [(id_, score) for id_, score in struct.iter_unpack("<if", row or b"") if id_ not in context]
        if found:
            return found
    return []


def _rows(client: redis.Redis, context: list[int], prefix: str, generation: str) -> Iterator[bytes | None]:
    """From the whole context to none: one request in most cases."""
    if context:
        before = [",".join(map(str, context[start:-1])) for start in range(len(context))]
        yield from client.hmget(f"{{{prefix}:{context[-1]}}}:{generation}", before)
    yield client.hget(f"{{{prefix}:}}:{generation}", "")
