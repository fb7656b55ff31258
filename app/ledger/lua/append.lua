-- The next piece of a reply: its text (ARGV[2]) and reasoning (ARGV[3]). Both empty: a sign of life.
-- a: turn_id, fence, chunk (number of the last piece, this one included), lease, prompt?
-- Returns 'ok', or 'refused': the turn is somebody else's, or over, or the ledger has less than was written.
local m = redis.call('HMGET', meta, 'fence', 'chunk', 'lease')
if m[1] ~= a.fence then
  count('refused')
  return 'refused'
end
local chunk = tonumber(m[2])
if a.chunk ~= chunk then
  if a.chunk ~= chunk + 1 or not add_piece(ARGV[2], ARGV[3]) then
    count('refused')
    return 'refused'
  end
  redis.call('HSET', meta, 'chunk', a.chunk)
end
-- Otherwise the piece is here already: its acknowledgement was lost on the way.
local left = tonumber(m[3]) - a.now
if left < a.lease * 2 / 3 or left > a.lease then renew_lease() end -- more than all of it: the clock was set back
return 'ok'
