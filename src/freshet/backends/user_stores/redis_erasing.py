"""Removes users from a Redis server, and from the files that it writes.

Redis deletes an entry of a stream by marking it: its bytes stay in memory and in the files until all of its
neighbours go. So a stream that lost entries is written anew, of those that are left, in one step.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

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
_FILES = (
    ("aof_enabled", "BGREWRITEAOF", "aof_rewrite_in_progress", "aof_rewrite_scheduled", "append-only file"),
    ("", "BGSAVE", "rdb_bgsave_in_progress", "", "dump"),
)


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
    left = []
    for enabled, command, running, scheduled, what in _FILES:
        facts = server.again(lambda client: client.info("persistence"))
        if enabled and not int(facts.get(enabled, 0)):
            continue
        if not enabled and not _dumps(server):
            continue
        try:
            server.client.bgrewriteaof() if command == "BGREWRITEAOF" else server.client.bgsave()
        except redis.ResponseError as error:
            if "in progress" not in str(error):
                left.append(f"the {what} of Redis at {server.name} may hold it: {command}: {error}")
                continue
        if not _ended(server, running, scheduled):
            left.append(f"Redis at {server.name} had not written its {what} anew after {PATIENCE:.0f} s")
    return tuple(left)


def _dumps(server: Server) -> bool:
    """Whether it writes dumps by itself, or can't say; one without a schedule keeps the last, if any."""
    try:
        found = server.client.config_get("save")
    except redis.RedisError:
        return True
    return bool(found.get("save")) or bool(server.client.info("persistence").get("rdb_saves", 0))


def _ended(server: Server, *running: str) -> bool:
    until = time.monotonic() + PATIENCE
    while time.monotonic() < until:
        facts = server.again(lambda client: client.info("persistence"))
        if not any(int(facts.get(name, 0)) for name in running if name):
            return True
        time.sleep(_POLL)
    return False
