"""A Redis server as states use it: connections, scripts, patience, and errors in Freshet's words."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from freshet.backends.user_stores import scripts
from freshet.core.errors import StateError, StateFull

_CONNECT, _ANSWER, _HISTORY = 1.0, 2.0, 0.05
"""Seconds until a server that doesn't connect, answer, or tell a history is given up."""
REST = 5.0
"""Seconds for which it is not asked for histories then, unless it answers something else before: who asks
again waits in vain, and others behind them."""

_OLDEST = (6, 2)
_DURABLE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


class Server:
    """A connection pool, the scripts, and errors in Freshet's words."""

    def __init__(self, url: str, name: str, prefix: str) -> None:
        self.name = name
        self._prefix = f"{{{prefix}}}:".encode()  # in braces: a cluster keeps such keys together
        with self._telling():
            self.client = _client(url, _CONNECT, _ANSWER)
            self._quick = _client(url, _HISTORY, _HISTORY)
        self._rests_until = 0.0
        self.record = self.client.register_script(scripts.RECORD)
        self.append = self.client.register_script(scripts.APPEND)
        self.merge = self.client.register_script(scripts.MERGE)
        self.trim = self.client.register_script(scripts.TRIM)

    def key(self, name: str) -> bytes:
        return self._prefix + name.encode()

    def keys_of(self, user: bytes) -> list[bytes]:
        """Where a user's items and interests are."""
        return [self._prefix + b"i:" + user, self._prefix + b"n:" + user]

    def once(self, call: Any) -> Any:
        """Do what must not be done twice."""
        with self._telling():
            return self._watched(call)

    def again(self, call: Any) -> Any:
        """Do what may be done twice, over a new connection if the first one breaks."""
        with self._telling():
            return self._watched(lambda: self._twice(call, self.client))

    def _watched(self, call: Any) -> Any:
        """Do it for somebody who can wait: as it goes, histories are asked for or not."""
        try:
            done = call()
        except (redis.ConnectionError, redis.TimeoutError):
            self._rests_until = time.monotonic() + REST
            raise
        self._rests_until = 0.0
        return done

    def _twice(self, call: Any, client: redis.Redis) -> Any:
        try:
            return call(client)
        except redis.ConnectionError:
            return call(client)

    def quickly(self, call: Any) -> Any:
        """`again`, for somebody who waits; a server that hangs is left alone until it answers others."""
        with self._telling():
            if time.monotonic() < self._rests_until:
                raise redis.TimeoutError("it did not answer lately")
            try:
                return self._twice(call, self._quick)
            except redis.TimeoutError:
                self._rests_until = time.monotonic() + REST
                raise

    def close(self) -> None:
        """Close all connections."""
        self.client.close()
        self._quick.close()

    def weakness(self) -> str:
        """What a person should know about the durability of this server, '' where there is nothing."""
        version = str(self.again(lambda client: client.info("server"))["redis_version"])
        if tuple(int(part) for part in version.split(".")[:2]) < _OLDEST:
            raise StateError(f"Redis at {self.name} is {version}, expected 6.2 or newer", hint="update it")
        try:
            said = self.client.config_get(*_DURABLE)
        except redis.RedisError:
            return f"Redis at {self.name} doesn't tell whether it keeps what it acknowledges (CONFIG GET)"
        weak = [f"{name} {said.get(name)}" for name, value in _DURABLE.items() if said.get(name) != value]
        wanted = ", ".join(f"{name} {value}" for name, value in _DURABLE.items())
        lost = (
            f"Redis at {self.name} may lose what it has acknowledged: it has {', '.join(weak)}; set {wanted}"
        )
        return lost if weak else ""

    @contextmanager
    def _telling(self) -> Iterator[None]:
        try:
            yield
        except redis.exceptions.OutOfMemoryError as error:
            raise StateFull(
                f"Redis at {self.name} is full: {error}",
                hint="`freshet collect` makes room; or raise its maxmemory",
                retryable=True,
            ) from None
        except redis.AuthenticationError as error:
            raise StateError(
                f"Redis at {self.name} refuses us: {error}", hint="see user and password in [serving] state"
            ) from None
        except (redis.ConnectionError, redis.TimeoutError) as error:
            raise StateError(
                f"Redis at {self.name} can't be reached: {error}",
                hint="it works again when Redis does; what was told meanwhile has to be told again",
                retryable=True,
            ) from None
        except (redis.RedisError, ValueError, TypeError) as error:  # TypeError: of options in the URL
            raise StateError(
                f"Redis at {self.name} can't be used: {error}", hint="see its log", retryable=True
            ) from None


def _client(url: str, connect: float, answer: float) -> redis.Redis:
    """Tries once; who calls decides what may be tried again."""
    never = Retry(NoBackoff(), 0)
    return redis.Redis.from_url(
        url, socket_connect_timeout=connect, socket_timeout=answer, retry=never, protocol=2
    )
