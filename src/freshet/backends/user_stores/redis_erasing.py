"""Removes users from a Redis server, and from the files that it writes.

Redis deletes an entry of a stream by marking it: its bytes stay in memory and in the files until all of its
neighbours go. So a stream that lost entries is written anew, of those that are left, in one step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import redis

from freshet.backends.user_stores.redis_server import Server

REMOVE = """
-- KEYS: stream, identities; ARGV: ids of entries; returns how many were there
local gone = 0
for _, id in ipairs(ARGV) do
  local found = redis.call('XRANGE', KEYS[1], id, id)
  if found[1] then
    redis.call('SREM', KEYS[2], found[1][2][2])
    gone = gone + redis.call('XDEL', KEYS[1], id)
  end
end
return gone
"""

REWRITE = """
-- KEYS: stream, a spare name. The stream with the same entries, and nothing of those that were deleted.
local last = redis.call('XINFO', 'STREAM', KEYS[1])
local newest
for i = 1, #last, 2 do
  if last[i] == 'last-generated-id' then newest = last[i + 1] end
end
redis.call('DEL', KEYS[2])
local after = '-'
while true do
  local some = redis.call('XRANGE', KEYS[1], after, '+', 'COUNT', 500)
  if #some == 0 then break end
  for _, entry in ipairs(some) do
    redis.call('XADD', KEYS[2], entry[1], unpack(entry[2]))
    after = '(' .. entry[1]
  end
end
redis.call('DEL', KEYS[1])
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('RENAME', KEYS[2], KEYS[1])
  redis.call('XSETID', KEYS[1], newest)
end
"""

PATIENCE = 120.0
"""Seconds that a server may take to write its files anew."""
_POLL = 0.1
_READ = 1000
_BUSY = ("in progress", "is active")
"""What the server says while it writes a file: that one, or the other."""


@dataclass(frozen=True, slots=True)
class _File:
    """A file of the server, and the names of its facts in INFO.

    Attributes:
        what: for people.
        running, scheduled: 1 while it is written, or is to be; '' = there is no such fact.
        status: `ok` where it was written without an error the last time.
    """

    what: str
    command: str
    running: str
    scheduled: str
    status: str


_LOG = _File(
    "append-only file",
    "BGREWRITEAOF",
    "aof_rewrite_in_progress",
    "aof_rewrite_scheduled",
    "aof_last_bgrewrite_status",
)
_DUMP = _File("dump", "BGSAVE", "rdb_bgsave_in_progress", "", "rdb_last_bgsave_status")


def erase_entries(server: Server, stream: bytes, mine: Callable[[bytes], bool]) -> int:
    """Remove the entries of a stream whose bodies are `mine`; returns how many."""
    remove = server.client.register_script(REMOVE)
    identities, gone = server.key("identities"), 0
    for some in _entries(server, stream):
        ids = [id for id, fields in some if mine(fields[b"body"])]
        if ids:
            gone += int(server.again(lambda _, ids=ids: remove([stream, identities], ids)))
    if server.again(lambda client: client.exists(stream)):
        rewrite = server.client.register_script(REWRITE)
        server.again(lambda _: rewrite([stream, server.key("rewritten")], []))
    return gone


def _entries(server: Server, stream: bytes) -> Iterator[list[tuple[bytes, dict[bytes, bytes]]]]:
    after = "-"
    while some := server.again(lambda client, a=after: client.xrange(stream, a, "+", _READ)):
        yield some
        after = f"({some[-1][0].decode()}"


def write_files_anew(server: Server) -> tuple[str, ...]:
    """Have the server write its files without what was deleted; what it didn't, in words."""
    facts = server.again(lambda client: client.info("persistence"))
    files = [*([_LOG] if int(facts.get("aof_enabled", 0)) else []), *([_DUMP] if _dumps(server) else [])]
    return tuple(problem for file in files if (problem := _write_anew(server, file)))


def _write_anew(server: Server, file: _File) -> str:
    """Have one file written from what is in memory now; '' once it is, else why it may not be.

    A write that goes on already has begun before the deletion: it is waited for, and another one asked for.
    """
    until = time.monotonic() + PATIENCE
    late = f"Redis at {server.name} had not written its {file.what} anew after {PATIENCE:.0f} s"
    while True:
        try:
            server.client.bgsave() if file is _DUMP else server.client.bgrewriteaof()
            break
        except redis.ResponseError as error:
            if not any(words in str(error) for words in _BUSY):
                return f"the {file.what} of Redis at {server.name} may hold it: {file.command}: {error}"
        if not _ended(server, until):
            return late
    if not _ended(server, until):
        return late
    status = server.again(lambda client: client.info("persistence")).get(file.status, "unknown")
    if status != "ok":
        return (
            f"the {file.what} of Redis at {server.name} may hold it: {file.command} ended with {status}: "
            "see the log of the server, then run the same command again"
        )
    return ""


def _dumps(server: Server) -> bool:
    """Whether it writes dumps by itself, or can't say; one without a schedule keeps the last, if any."""
    try:
        found = server.client.config_get("save")
    except redis.RedisError:
        return True
    return bool(found.get("save")) or bool(server.client.info("persistence").get("rdb_saves", 0))


def _ended(server: Server, until: float) -> bool:
    """Wait until the server writes neither file: either keeps the other from being begun."""
    names = [name for file in (_LOG, _DUMP) for name in (file.running, file.scheduled) if name]
    while time.monotonic() < until:
        facts = server.again(lambda client: client.info("persistence"))
        if not any(int(facts.get(name, 0)) for name in names):
            return True
        time.sleep(_POLL)
    return False
