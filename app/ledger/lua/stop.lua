-- Ends a turn here and now, whoever is working on it. a: owner, turn_id, grace, ttl
-- Returns {'not_found'} or {status, next turn or ''}; the status of a turn that was over stays what it was.
local status = owned_by(a.owner) and redis.call('HGET', turns, 's:' .. a.turn_id)
if not status then return { 'not_found' } end
if is_over(status) then return { status, '' } end
if field('turn') == a.turn_id then redis.call('PUBLISH', a.ended, a.turn_id) end
return { 'stopped', conclude(a.turn_id, 'stopped', 'null', '') or '' }
