-- The next piece of a reply, or a sign of life (empty ARGV[2]).
-- a: turn_id, fence, chunk (number of the last piece, this one included), lease
-- Returns 'ok', or 'refused': the turn is somebody else's, or over, or the ledger has less than was written.
local m = redis.call('HMGET', meta, 'fence', 'chunk', 'lease')
if m[1] ~= a.fence then return 'refused' end
local chunk = tonumber(m[2])
local piece = ARGV[2]
if a.chunk ~= chunk then
  if piece == '' or a.chunk ~= chunk + 1 then return 'refused' end
  redis.call('APPEND', text, piece)
  redis.call('HSET', meta, 'chunk', a.chunk)
  if chunk == 0 then touch() end
  emit('turn.delta', ',"turn_id":"' .. a.turn_id .. '","text":' .. cjson.encode(piece))
end
-- Otherwise the piece is here already: its acknowledgement was lost on the way.
if tonumber(m[3]) - a.now < a.lease * 2 / 3 then
  redis.call('HSET', meta, 'lease', a.now + a.lease)
  redis.call('ZADD', due, a.now + a.lease, a.conversation_id)
end
return 'ok'
