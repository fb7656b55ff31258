-- Turns of one partition that nobody works on. Each is given to one sweeper only: it is not due again before the next
-- look, which comes later each time (a turn may simply be waiting for a free worker).
-- KEYS: due, ready, waiting, expiry, owners, and what owners' listings and active sets begin with. ARGV: prefix of the
-- partition's conversation keys, now (or '': Redis's clock), first pause, longest pause (ms), limit, the longest that a
-- conversation lives without being used, and the longest that anything may be due from now (ms).
-- Returns conversation id, turn id, …
local due, ready, waiting, expiry, owners, listings, actives = unpack(KEYS)
local prefix = ARGV[1]
local now, pause, longest = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
-- What is left of conversations that expired.
redis.call('ZREMRANGEBYSCORE', waiting, '-inf', now - tonumber(ARGV[6]))
for _, member in ipairs(redis.call('ZRANGEBYSCORE', expiry, '-inf', now, 'LIMIT', 0, tonumber(ARGV[5]))) do
  local id, owner = string.match(member, '^(%S+) (.*)$')
  local left = redis.call('PTTL', prefix .. id .. ':meta')
  if left > 0 then
    redis.call('ZADD', expiry, now + left, member)
  else
    redis.call('ZREM', expiry, member)
    redis.call('ZREM', listings .. owner, id)
    redis.call('SREM', actives .. owner, id)
    if redis.call('EXISTS', actives .. owner) == 0 then redis.call('SREM', owners, owner) end
  end
end
-- What is due later than that was put there before the clock was set back.
for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, now + tonumber(ARGV[7]) + 1, '+inf', 'LIMIT', 0, tonumber(ARGV[5]))) do
  redis.call('ZADD', due, now, id)
end
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, tonumber(ARGV[5]))) do
  local head = redis.call('LINDEX', prefix .. id .. ':queue', 0)
  if head then
    local hints = redis.call('HINCRBY', prefix .. id .. ':meta', 'hints', 1)
    redis.call('ZADD', due, now + math.min(longest, pause * 2 ^ math.min(hints, 20)), id)
    redis.call('ZADD', ready, 'NX', now, id) -- its lease has lapsed, if it is not there already
    found[#found + 1] = id
    found[#found + 1] = head
  else
    redis.call('ZREM', due, id)
    redis.call('ZREM', ready, id)
  end
end
return found
