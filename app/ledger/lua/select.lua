-- Chooses the branch that a message is on, as it went on from there. a: owner, message_id, ttl
-- Returns 'not_found', 'no_message' or 'ok'.
if not owned_by(a.owner) then return 'not_found' end
if redis.call('HEXISTS', messages, a.message_id) == 0 and redis.call('HEXISTS', turns, 'r:' .. a.message_id) == 0 then
  return 'no_message'
end
local head = leaf_below(a.message_id)
if head ~= field('head') then
  redis.call('HSET', meta, 'head', head)
  local seq = emit('conversation.updated', ',"conversation":' .. conversation_json() .. ',"head":"' .. head .. '"')
  -- No events lead from one branch to another: whoever is behind this gets a snapshot.
  redis.call('XTRIM', log, 'MINID', seq .. '-0')
end
touch()
return 'ok'
