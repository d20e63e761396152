"""A user store in a Redis server, which several replicas share.

What Redis acknowledges is as durable as it is set up: `appendonly yes` and `appendfsync always`. `note` says
where it is set up otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from hashlib import blake2b
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit, urlunsplit

import numpy as np
import redis

from freshet.backends.user_stores import redis_erasing
from freshet.backends.user_stores.redis_server import Server
from freshet.core.errors import StateError
from freshet.core.ports import Erased
from freshet.core.types import REMEMBERED, Entry, Fact, History

_TOGETHER = 200
"""Users merged, or entries trimmed, in one step: nobody else is served meanwhile."""

_READ = 5000
"""Entries in one answer of the server."""

_PORTION, _KNOWN = 500, 3600
"""Entries appended in one step, and seconds for which the server knows that it has done so."""


class RedisUserStore:
    """What serving remembers, in Redis (`freshet.core.ports.UserStore`).

    Args:
        url: such as `redis://host:6379/0`, with `?prefix=NAME` where several workspaces share a database.

    Raises:
        StateError: it can't be reached, or is too old.
    """

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            name = f"{parts.hostname}:{parts.port or 6379}"
        except ValueError:  # whose words may quote the password
            raise StateError(
                "[serving] state is no URL of a Redis server",
                hint='such as "redis://user:password@localhost:6379/0", special characters as %40',
            ) from None
        query = parse_qs(parts.query)
        prefix = query.pop("prefix", ["freshet"])[-1]
        plain = urlunsplit(parts._replace(query=urlencode(query, doseq=True)))
        self._server = Server(plain, name, prefix)
        self.note = self._server.weakness()
        self.events = RedisJournal(self._server, "events")
        self.impressions = RedisJournal(self._server, "impressions")
        self.notes = RedisNotes(self._server)

    def histories(self, users: Sequence[bytes]) -> list[History]:
        """Of each user; empty for one who is not known."""
        keys = [key for user in users for key in self._server.keys_of(user)]

        def fetch(client: redis.Redis) -> Any:
            pipeline = client.pipeline(transaction=True)
            for key in keys:
                pipeline.zrange(key, 0, -1, withscores=True)
            return pipeline.execute()

        found = self._server.quickly(fetch) if keys else []
        return [_history(*found[at : at + 2]) for at in range(0, len(found), 2)]

    def record(self, facts: Sequence[Fact]) -> list[bool]:
        """Remember facts in one step; for each whether it was new."""
        if not facts:
            return []
        keys: list[bytes] = self.events.names
        arguments: list[bytes | int] = [REMEMBERED]
        for fact in facts:
            keys += self._server.keys_of(fact.user)
            item = fact.item.to_bytes(8, "big")
            arguments += [fact.identity, fact.body, int(fact.engaged), item, fact.interest, fact.time]
        new = self._server.once(lambda: self._server.record(keys, arguments))
        return [bool(one) for one in new]

    def merge(self, histories: Iterable[tuple[bytes, History]]) -> None:
        """Join histories to what is remembered, some hundred users at a time."""
        rest = iter(histories)
        while batch := list(islice(rest, _TOGETHER)):
            keys = [key for user, _ in batch for key in self._server.keys_of(user)]
            arguments = [REMEMBERED, *(part for _, history in batch for part in _parts(history))]
            self._server.again(lambda _, k=keys, a=arguments: self._server.merge(k, a))

    def erase(self, users: Sequence[bytes], mine: Callable[[bytes], bool]) -> Erased:
        """Remove users from the server's memory, and have it write its files anew."""
        if not users:
            return Erased(0, 0, 0)
        keys = [key for user in users for key in self._server.keys_of(user)]
        known = [self._server.keys_of(user) for user in users]
        histories = sum(bool(self._server.again(lambda c, k=pair: c.exists(*k))) for pair in known)
        self._server.again(lambda client: client.unlink(*keys))
        events, impressions = (
            redis_erasing.erase_entries(self._server, self._server.key(name), mine)
            for name in ("events", "impressions")
        )
        return Erased(histories, events, impressions, redis_erasing.write_files_anew(self._server))

    def close(self) -> None:
        """Close the connections."""
        self._server.close()


class RedisJournal:
    """Entries of a stream, whose ids are the positions; an identity is beside the body."""

    def __init__(self, server: Server, name: str) -> None:
        self._server = server
        self._stream = server.key(name)
        self._identities = server.key("identities")
        self._last = server.key(f"{name}:last")
        self._tried: list[int] = []
        self._salt = os.urandom(16)

    @property
    def names(self) -> list[bytes]:
        """Keys of the stream, the identities, the last position."""
        return [self._stream, self._identities, self._last]

    def append(self, bodies: Sequence[bytes]) -> None:
        """Add entries, a portion in one step; what raised and is called again adds only what isn't there.

        A server that doesn't answer may have done it all the same. So a portion has a token, and the next
        call cuts its entries as the one that failed did: where they are the same, so is the token.
        """
        at = 0
        for size in self._sizes(len(bodies)):
            portion = bodies[at : at + size]
            at += size
            if at > sum(self._tried):
                self._tried.append(size)
            names = [self._stream, self._last, self._token(at, portion)]
            self._server.once(lambda n=names, p=portion: self._server.append(n, [_KNOWN, *p]))
        self._tried, self._salt = [], os.urandom(16)

    def _sizes(self, count: int) -> Iterator[int]:
        """Of portions: those that were tried before, then full ones."""
        for size in [*self._tried, *[_PORTION] * (count // _PORTION + 1)]:
            if count > 0:
                yield min(size, count)
                count -= size

    def _token(self, end: int, portion: Sequence[bytes]) -> bytes:
        """Names a portion of this call, and of those that repeat it."""
        hashed = blake2b(self._salt + end.to_bytes(8, "big"), digest_size=16)
        for body in portion:
            hashed.update(len(body).to_bytes(8, "big") + body)
        return self._server.key(f"token:{hashed.hexdigest()}")

    def read(self, after: int, limit: int) -> list[Entry]:
        """The first `limit` entries behind a position."""
        entries: list[Entry] = []
        while len(entries) < limit:
            start = f"{max(entries[-1].position if entries else after, 0) + 1}-0"
            count = min(_READ, limit - len(entries))
            found = self._server.again(
                lambda client, s=start, c=count: client.xrange(self._stream, s, "+", c)
            )
            entries += [Entry(int(id.partition(b"-")[0]), fields[b"body"]) for id, fields in found]
            if len(found) < count:
                break
        return entries

    def end(self) -> int:
        """Position of the last entry that was added, 0 before any."""
        return int(self._server.again(lambda client: client.get(self._last)) or 0)

    def trim(self, upto: int) -> None:
        """Forget entries up to a position, oldest first; if it raises, some of the oldest may be gone."""
        keys = [self._stream, self._identities]
        if upto > 0:
            while self._server.again(lambda _: self._server.trim(keys, [upto, _TOGETHER])) == _TOGETHER:
                pass


class RedisNotes:
    """Small named values in a hash."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._key = server.key("notes")

    def get(self, name: str) -> bytes | None:
        """The value, None where there is none."""
        value: bytes | None = self._server.again(lambda client: client.hget(self._key, name))
        return value

    def put(self, name: str, value: bytes) -> None:
        """Replace the value."""
        self._server.again(lambda client: client.hset(self._key, name, value))


def _parts(history: History) -> Iterator[Any]:
    """Arguments of the script: counts, then (item, time) and (interest, time) of each."""
    yield len(history.items)
    yield len(history.interests)
    for item, engaged in zip(history.items.tolist(), history.item_times.tolist(), strict=True):
        yield item.to_bytes(8, "big")
        yield engaged
    for interest, engaged in zip(history.interests.tolist(), history.interest_times.tolist(), strict=True):
        yield interest
        yield engaged


def _history(items: list[tuple[bytes, float]], interests: list[tuple[bytes, float]]) -> History:
    return History(
        np.frombuffer(b"".join(item for item, _ in items), ">u8").astype(np.uint64),
        np.array([time for _, time in items], np.int64),
        np.array([int(interest) for interest, _ in interests], np.int32),
        np.array([time for _, time in interests], np.int64),
    )
