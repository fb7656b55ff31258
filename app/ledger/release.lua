-- Gives a running turn back: it is due at once, for the next sweep of any worker. a: turn_id, fence.
-- Returns 'ok' or 'refused'.
if field('fence') ~= a.fence then return 'refused' end
redis.call('HSET', meta, 'turn', '', 'lease', 0, 'fence', '', 'hints', 0)
redis.call('HSET', turns, 's:' .. a.turn_id, 'waiting')
redis.call('ZADD', due, a.now, a.conversation_id)
announce('waiting')
return 'ok'
