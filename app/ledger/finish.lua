-- Ends a running turn with what has been written and the last piece (ARGV[2], may be empty).
-- a: turn_id, fence, chunk (as in append), status, usage and error (JSON texts), grace, ttl
-- Returns {'ok', next turn or ''} or {'refused'}.
local m = redis.call('HMGET', meta, 'fence', 'chunk', 'ended', 'turn')
if m[3] == a.fence then
  -- It has been done already: its acknowledgement was lost on the way.
  return { 'ok', m[4] == '' and redis.call('LINDEX', queue, 0) or '' }
end
if m[1] ~= a.fence then return { 'refused' } end
local chunk = tonumber(m[2])
if a.chunk ~= chunk then
  if ARGV[2] == '' or a.chunk ~= chunk + 1 then return { 'refused' } end
  redis.call('APPEND', text, ARGV[2])
  emit('turn.delta', ',"turn_id":"' .. a.turn_id .. '","text":' .. cjson.encode(ARGV[2]))
end
redis.call('HSET', meta, 'ended', a.fence)
return { 'ok', conclude(a.turn_id, a.status, a.usage, a.error) or '' }
