"""Events from a stream in Redis, read by id: what was read is known here, not at the server.

A position is `<id>/<count>`: the id of the last entry read, and how many entries had been added to the stream
up to it, by which entries that were trimmed before they were read are counted.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from freshet.core.config import StreamConfig
from freshet.core.errors import ConfigError, StreamUnreachable
from freshet.core.ports import Gap, Lag, Message, Polled, Start

_ONE = "0"
"""The one partition."""
_CONNECT, _ANSWER = 2.0, 10.0
_IDLE = 0.2
"""Seconds to wait where there is no stream to wait at yet."""
_START = "0-0/0"
_TOGETHER = 5_000
"""Entries in one answer of the server, which serves nobody else meanwhile."""


class RedisStream:
    """A Redis stream (`freshet.core.ports.EventStream`); several readers each read all of it.

    Args:
        settings: `[stream]`.
        options: of the client, secrets included.
        start: where to read from.

    Raises:
        StreamUnreachable: the server can't be reached.
        ConfigError: it is older than 7.0, or refuses the credentials.
    """

    def __init__(self, settings: StreamConfig, options: Mapping[str, Any], start: Start) -> None:
        parts = urlsplit(settings.servers)
        self._where = f"Redis at {parts.hostname or parts.path}:{parts.port or 6379}"
        self._key = settings.topic
        self._field = settings.field.encode()
        self._start = start
        self._at: str | None = None
        self.name = f"redis/{settings.topic}"
        with self._translated():
            self._client = redis.Redis.from_url(
                settings.servers, socket_connect_timeout=_CONNECT, socket_timeout=_ANSWER,
                retry=Retry(NoBackoff(), 0), protocol=2, **options,
            )  # fmt: skip
            version = str(self._client.info("server")["redis_version"])
        if int(version.split(".")[0]) < 7:
            raise ConfigError(
                f"{self._where} is {version}, expected 7.0 or newer: older ones don't say how many entries a "
                "stream has had",
                hint="update it",
            )

    def identity(self) -> str:
        """Streams of Redis have none; ids that go back give one that was made again away."""
        return ""

    def poll(self, most: int, seconds: float) -> Polled:
        """Up to `most` entries behind the last one read."""
        with self._translated():
            forget: frozenset[str] = frozenset()
            if self._at is None:
                self._at, forget = self._start([_ONE]).get(_ONE, _START), frozenset([_ONE])
            if most <= 0:
                time.sleep(seconds)
                return Polled(forget=forget)
            found, gaps = self._read(most)
            if not found and not gaps:
                self._wait(seconds)
                found, gaps = self._read(most)
            return Polled(found, forget, gaps)

    def _read(self, most: int) -> tuple[list[Message], list[Gap]]:
        """Entries and what the server says of the stream, in one step."""
        assert self._at is not None
        id_, count = _parts(self._at)
        pipeline = self._client.pipeline(transaction=True)
        pipeline.xinfo_stream(self._key)
        most = min(most, _TOGETHER)
        pipeline.xrange(self._key, f"({id_}" if count else "-", "+", most)
        info, entries = pipeline.execute(raise_on_error=False)
        if isinstance(info, redis.ResponseError) and "no such key" in str(info):
            gone = [Gap(_ONE, None, "the stream was deleted")] if count else []
            self._at = _START
            return [], gone
        for answer in (info, entries):
            if isinstance(answer, Exception):
                raise answer
        added, deleted = int(info["entries-added"]), int(info["entries-added"]) - int(info["length"])
        if _number(info["last-generated-id"]) < _number(id_):
            self._at = _START  # what it has is read by the next poll
            return [], [Gap(_ONE, None, "the stream was deleted and made again")]
        gaps = []
        first = info["first-entry"]
        if count == 0:
            count = deleted  # before anybody looked
        elif deleted > count and (first is None or _number(first[0]) > _number(id_)):
            gaps.append(Gap(_ONE, deleted - count, "trimmed"))
            count = deleted
        messages = []
        for number, (entry, fields) in enumerate(entries, start=1):
            is_end = len(entries) < most and number == len(entries)
            position = f"{entry.decode()}/{added if is_end else count + number}"
            messages.append(self._message(entry.decode(), position, fields))
        if messages:
            self._at = messages[-1].position
        elif gaps:
            self._at = f"{info['last-generated-id'].decode()}/{added}"
        return messages, gaps

    def _message(self, id_: str, position: str, fields: Mapping[bytes, bytes]) -> Message:
        if self._field:
            body = fields.get(self._field)
            why = f"no field {self._field.decode()!r}" if body is None else ""
            return Message(_ONE, id_, position, body, why)
        try:
            text = {name.decode(): value.decode() for name, value in fields.items()}
        except UnicodeDecodeError:
            shown = {repr(name): repr(value) for name, value in fields.items()}
            return Message(_ONE, id_, position, json.dumps(shown).encode(), "not UTF-8")
        return Message(_ONE, id_, position, json.dumps(text).encode())

    def _wait(self, seconds: float) -> None:
        """Until something is added behind the last entry read, or the time is over."""
        assert self._at is not None
        before = time.monotonic()
        self._client.xread({self._key: _parts(self._at)[0]}, count=1, block=max(1, int(seconds * 1000)))
        if time.monotonic() - before < seconds and not self._client.exists(self._key):
            time.sleep(min(seconds, _IDLE))

    def seek(self, positions: Mapping[str, str | None]) -> None:
        """Read from another position."""
        if _ONE in positions:
            self._at = positions[_ONE] or _START

    def lag(self) -> Lag:
        """Entries added behind the last one read."""
        end = self.ends().get(_ONE, _START)
        return Lag({_ONE: max(0, _parts(end)[1] - _parts(self._at or _START)[1])})

    def ends(self) -> Mapping[str, str]:
        """The id of the last entry that was ever added, and how many were."""
        with self._translated():
            try:
                info: Any = self._client.xinfo_stream(self._key)
            except redis.ResponseError as error:
                if "no such key" in str(error):
                    return {}
                raise
        added = int(info["entries-added"])
        return {_ONE: f"{info['last-generated-id'].decode()}/{added}"} if added else {}

    def reached(self, partition: str, position: str, end: str) -> bool:  # noqa: ARG002
        """Whether an id is at or behind another; of an end whose entries are deleted, the count tells."""
        here, there = _parts(position), _parts(end)
        return _number(here[0]) >= _number(there[0]) or here[1] >= there[1]

    def tell(self, positions: Mapping[str, str]) -> None:
        """Nobody watches a reader without a group."""

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except redis.AuthenticationError as error:
            raise ConfigError(
                f"{self._where} refuses us: {error}", hint="see [stream] options and options_env"
            ) from None
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise StreamUnreachable(
                f"{self._where} can't be reached: {error}", hint="it goes on when Redis does", retryable=True
            ) from None
        except (redis.RedisError, ValueError, TypeError) as error:  # TypeError: of options
            raise StreamUnreachable(
                f"{self._where}, stream {self._key!r}: {error}", hint="see [stream]", retryable=True
            ) from None


def _parts(position: str) -> tuple[str, int]:
    id_, _, count = position.partition("/")
    return id_, int(count)


def _number(id_: str | bytes) -> tuple[int, int]:
    """An id as what can be compared."""
    text = id_.decode() if isinstance(id_, bytes) else id_
    milliseconds, _, sequence = text.partition("-")
    return int(milliseconds), int(sequence or 0)
