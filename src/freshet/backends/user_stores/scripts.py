"""What Redis does in one step, as Lua: a script runs whole, or, where the server dies, not at all.

Of a user it keeps two sorted sets, whose scores are times: of items (members are 8 bytes, big-endian, so that
ties are in the order of keys) and of interests. Items are cut to `cap` before one is added, never after: a
set that once held more than 128 members takes several times the memory for good.
"""

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
