-- Turns of one partition that nobody works on. Each is given to one sweeper only: it is not due again before the next
-- look, which comes later each time (a turn may simply be waiting for a free worker).
-- KEYS: due, waiting. ARGV: prefix of the partition's conversation keys, now (or '': Redis's clock), first pause, longest pause
-- (ms), limit.
-- Returns conversation id, turn id, …
local due, waiting, prefix = KEYS[1], KEYS[2], ARGV[1]
local now, pause, longest = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if not now then
  local time = redis.call('TIME')
  now = time[1] * 1000 + math.floor(time[2] / 1000)
end
local found = {}
for _, id in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, tonumber(ARGV[5]))) do
  local head = redis.call('LINDEX', prefix .. id .. ':queue', 0)
  if head then
    local hints = redis.call('HINCRBY', prefix .. id .. ':meta', 'hints', 1)
    redis.call('ZADD', due, now + math.min(longest, pause * 2 ^ math.min(hints, 20)), id)
    redis.call('ZADD', waiting, 'NX', now, id) -- its lease has lapsed, if it is not there already
    found[#found + 1] = id
    found[#found + 1] = head
  else
    redis.call('ZREM', due, id)
    redis.call('ZREM', waiting, id)
  end
end
return found
