-- Gives a running turn back: it is due at once, for the next sweep of any worker. What was shown of it stays, until it is
-- claimed again or stopped. It does not count against the turn: a deploy is not its fault.
-- a: turn_id, fence. Returns 'ok' or 'refused'.
if field('fence') ~= a.fence then return 'refused' end
redis.call('HINCRBY', turns, 'b:' .. a.turn_id, 1)
redis.call('HSET', meta, 'lease', 0, 'fence', '', 'hints', 0)
redis.call('ZADD', due, a.now, a.conversation_id)
redis.call('ZADD', ready, a.now, a.conversation_id)
return 'ok'
