-- The turns that are not over, in their order. a: owner
-- Returns {'not_found'}, or {'ok', 1 if the first of them runs, since when it could be taken (or ''), how many other
-- conversations of the owner are active, turn …}.
if not owned_by(a.owner) then return { 'not_found' } end
return { 'ok', field('turn') ~= '' and 1 or 0, redis.call('ZSCORE', ready, a.conversation_id) or '',
  math.max(0, redis.call('SCARD', actives .. a.owner) - 1), unpack(redis.call('LRANGE', queue, 0, -1)) }
