"""A Redis server as the user store uses it: connections, scripts, patience, and errors in Freshet's words.

What Redis does in one step is Lua: a script runs whole, or, where the server dies, not at all. Of a user it
keeps two sorted sets, whose scores are times: of items (members are 8 bytes, big-endian, so that ties are in
the order of keys) and of interests. Items are cut to `cap` before one is added, never after: a set that once
held more than 128 members takes several times the memory for good.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from freshet.core.errors import StateError, StateFull

_MERGE = """
local function below(a, b)
  for i = 1, 8 do
    local x, y = a:byte(i), b:byte(i)
    if x ~= y then return x < y end
  end
  return false
end
local function engage(key, cap, item, time)
  local known = redis.call('ZSCORE', key, item)
  if not known and redis.call('ZCARD', key) >= cap then
    local first = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
    local oldest = tonumber(first[2])
    if tonumber(time) < oldest or (tonumber(time) == oldest and below(item, first[1])) then return end
    redis.call('ZREM', key, first[1])
  end
  redis.call('ZADD', key, 'GT', time, item)
end
"""

_APPEND = """
local function append(stream, position, identity, body)
  redis.call('XADD', stream, string.format('%.0f-0', position), 'identity', identity, 'body', body)
end
"""

RECORD = f"""{_MERGE}{_APPEND}
-- KEYS: stream, identities, last position, then by fact: items, interests of its user
-- ARGV: cap, then by fact: identity, body, engaged, item, interest, time
local position = tonumber(redis.call('GET', KEYS[3]) or '0')
local new = {{}}
for i = 1, (#ARGV - 1) / 6 do
  local at = 6 * i - 4
  new[i] = redis.call('SADD', KEYS[2], ARGV[at])
  if new[i] == 1 then
    position = position + 1
    append(KEYS[1], position, ARGV[at], ARGV[at + 1])
    if ARGV[at + 2] == '1' then
      engage(KEYS[2 * i + 2], tonumber(ARGV[1]), ARGV[at + 3], ARGV[at + 5])
      if tonumber(ARGV[at + 4]) >= 0 then
        redis.call('ZADD', KEYS[2 * i + 3], 'GT', ARGV[at + 5], ARGV[at + 4])
      end
    end
  end
end
redis.call('SET', KEYS[3], string.format('%.0f', position))
return new
"""

APPEND = f"""{_APPEND}
-- KEYS: stream, last position, token; ARGV: seconds for which the token is known, bodies
if not redis.call('SET', KEYS[3], '1', 'NX', 'EX', ARGV[1]) then return end
local position = tonumber(redis.call('GET', KEYS[2]) or '0')
for i = 2, #ARGV do
  append(KEYS[1], position + i - 1, '', ARGV[i])
end
redis.call('SET', KEYS[2], string.format('%.0f', position + #ARGV - 1))
"""

MERGE = f"""{_MERGE}
-- KEYS: by user: items, interests
-- ARGV: cap, then by user: how many items, how many interests, (item, time) of each, (interest, time) of each
local at = 2
for user = 1, #KEYS / 2 do
  local items, interests = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  at = at + 2
  for i = 1, items do
    engage(KEYS[2 * user - 1], tonumber(ARGV[1]), ARGV[at], ARGV[at + 1])
    at = at + 2
  end
  for i = 1, interests do
    redis.call('ZADD', KEYS[2 * user], 'GT', ARGV[at + 1], ARGV[at])
    at = at + 2
  end
end
"""

TRIM = """
-- KEYS: stream, identities; ARGV: the last position to forget, how many at most; returns how many
local entries = redis.call('XRANGE', KEYS[1], '-', ARGV[1], 'COUNT', ARGV[2])
for _, entry in ipairs(entries) do
  redis.call('SREM', KEYS[2], entry[2][2])
  redis.call('XDEL', KEYS[1], entry[1])
end
return #entries
"""

_CONNECT, _ANSWER, _HISTORY = 1.0, 2.0, 0.05
"""Seconds until a server that doesn't connect, answer, or return a history is given up."""
REST = 5.0
"""Seconds for which no histories are requested from it then, unless it answers something else before: who
requests them again waits in vain, and others behind them."""

_OLDEST = (6, 2)
_DURABLE = {"appendonly": "yes", "appendfsync": "always", "maxmemory-policy": "noeviction"}


class Server:
    """A connection pool, the scripts, and errors in Freshet's words."""

    def __init__(self, url: str, name: str, prefix: str) -> None:
        self.name = name
        self._prefix = f"{{{prefix}}}:".encode()  # in braces: a cluster keeps such keys together
        with self._translated():
            self.client = _client(url, _CONNECT, _ANSWER)
            self._quick = _client(url, _HISTORY, _HISTORY)
        self._rests_until = 0.0
        self.record = self.client.register_script(RECORD)
        self.append = self.client.register_script(APPEND)
        self.merge = self.client.register_script(MERGE)
        self.trim = self.client.register_script(TRIM)

    def key(self, name: str) -> bytes:
        return self._prefix + name.encode()

    def keys_of(self, user: bytes) -> list[bytes]:
        """Where a user's items and interests are."""
        return [self._prefix + b"i:" + user, self._prefix + b"n:" + user]

    def once(self, call: Any) -> Any:
        """Do what must not be done twice."""
        with self._translated():
            return self._watched(call)

    def again(self, call: Any) -> Any:
        """Do what may be done twice, over a new connection if the first one breaks."""
        with self._translated():
            return self._watched(lambda: self._twice(call, self.client))

    def _watched(self, call: Any) -> Any:
        """Do it for somebody who can wait: as it goes, histories are requested or not."""
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
        with self._translated():
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
            settings = self.client.config_get(*_DURABLE)
        except redis.RedisError:
            return f"Redis at {self.name} doesn't tell whether it keeps what it acknowledges (CONFIG GET)"
        weak = [
            f"{name} {settings.get(name)}" for name, value in _DURABLE.items() if settings.get(name) != value
        ]
        wanted = ", ".join(f"{name} {value}" for name, value in _DURABLE.items())
        lost = (
            f"Redis at {self.name} may lose what it has acknowledged: it has {', '.join(weak)}; set {wanted}"
        )
        return lost if weak else ""

    @contextmanager
    def _translated(self) -> Iterator[None]:
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
                hint="it works again when Redis does; what was sent meanwhile has to be sent again",
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
