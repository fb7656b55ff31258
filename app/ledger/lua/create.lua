-- An empty conversation. a: owner, title, epoch, settings, ttl. Returns the conversation, or '' if the id is taken.
-- The id is random: if it is there, this call has been made already and its answer was lost on the way.
if redis.call('EXISTS', meta) == 1 then return owned_by(a.owner) and conversation_json() or '' end
create()
if a.title ~= '' then redis.call('HSET', meta, 'title', a.title, 'titled', 'user') end
announce('idle')
touch()
return conversation_json()
