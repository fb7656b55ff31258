-- Ends a running turn with what has been written and the last piece (as in append; it may be empty).
-- a: turn_id, fence, chunk, prompt? (as in append), status, usage and error (JSON texts), finish_reason?, grace, ttl
-- Returns {'ok', next turn or ''} or {'refused'}.
local m = redis.call('HMGET', meta, 'fence', 'chunk', 'ended', 'turn')
if m[3] == a.fence then
  -- It has been done already: its acknowledgement was lost on the way.
  return { 'ok', m[4] == '' and redis.call('LINDEX', queue, 0) or '' }
end
if m[1] ~= a.fence then
  count('refused')
  return { 'refused' }
end
local chunk = tonumber(m[2])
if a.chunk ~= chunk and (a.chunk ~= chunk + 1 or not add_piece(ARGV[2], ARGV[3])) then
  count('refused')
  return { 'refused' }
end
redis.call('HSET', meta, 'ended', a.fence)
return { 'ok', conclude(a.turn_id, a.status, a.usage, a.error, a.finish_reason) or '' }
