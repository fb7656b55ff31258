-- Empties a conversation, or removes it (a.delete). Turns that are not over end, with nothing saved.
-- a: owner, delete, tombstone (ms), ttl. Returns the conversation as it is then, or '' if there is none.
-- (A call whose answer was lost on the way may be repeated: what was said in between stays.)
if a.delete and field('deleted') == a.call and field('owner') == a.owner then return field('was') end
if not owned_by(a.owner) then return '' end
if not a.delete and field('cleared') == a.call then return conversation_json() end
if field('turn') ~= '' then redis.call('PUBLISH', a.ended, field('turn')) end
for _, turn_id in ipairs(redis.call('LRANGE', queue, 0, -1)) do
  local turn = cjson.decode(redis.call('HGET', turns, 't:' .. turn_id))
  redis.call('HSET', turns, 's:' .. turn_id, 'stopped')
  count('turns:stopped:')
  redis.call('ZREM', waiting, a.conversation_id .. ':' .. turn_id)
  redis.call('HDEL', turns, 't:' .. turn_id, 'a:' .. turn_id, 'b:' .. turn_id, 'r:' .. turn.reply_id)
  emit('turn.finished', ',"turn_id":"' .. turn_id .. '","status":"stopped","message":null,"usage":null')
end
redis.call('DEL', queue, messages, children, summaries, text, reasoning)
redis.call('ZREM', due, a.conversation_id)
redis.call('ZREM', ready, a.conversation_id)
redis.call('HSET', meta, 'turn', '', 'lease', 0, 'fence', '', 'hints', 0, 'head', '', 'prompt', '', 'state', 'idle',
  'updated_at', a.at)
redis.call('HDEL', meta, 'held')
make_room()
local conversation = conversation_json()
if a.delete then
  emit('conversation.deleted', ',"conversation":' .. conversation)
  hint('deleted')
  redis.call('DEL', meta, turns, log)
  redis.call('ZREM', listings .. a.owner, a.conversation_id)
  redis.call('ZREM', shared .. 'expiry', a.conversation_id .. ' ' .. a.owner)
  -- For a while the id is remembered, so that a late repeat of its first message does not bring it back.
  redis.call('HSET', meta, 'owner', a.owner, 'deleted', a.call, 'was', conversation)
  redis.call('PEXPIRE', meta, a.tombstone)
else
  redis.call('HSET', meta, 'cleared', a.call)
  local seq = emit('conversation.cleared', ',"conversation":' .. conversation)
  redis.call('XTRIM', log, 'MINID', seq .. '-0')
  announce('idle')
  touch()
end
return conversation
