-- a: owner, changes {meta field: value}, ttl. Returns the conversation, or '' if there is none.
if not owned_by(a.owner) then return '' end
for name, value in pairs(a.changes) do redis.call('HSET', meta, name, value) end
if a.changes.title then redis.call('HSET', meta, 'titled', 'user') end
redis.call('HSET', meta, 'updated_at', a.at)
local conversation = conversation_json()
emit('conversation.updated', ',"conversation":' .. conversation)
if field('turn') == '' then redis.call('XTRIM', log, 'MAXLEN', a.max_events) end
announce(field('state'))
touch()
return conversation
