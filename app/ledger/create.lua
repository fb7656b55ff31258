-- An empty conversation. a: owner, title, epoch, settings, ttl. Returns the conversation, or '' if the id is taken.
-- The id is random: if it is there, this call has been made already and its answer was lost on the way.
if redis.call('EXISTS', meta) == 1 then return owned_by(a.owner) and conversation_json() or '' end
redis.call('HSET', meta, 'owner', a.owner, 'epoch', a.epoch, 'title', a.title, 'memory', a.settings.memory,
  'provider', a.settings.provider, 'model', a.settings.model, 'system_prompt', a.settings.system_prompt,
  'created_at', a.at, 'seq', 0, 'fence', '', 'turn', '', 'lease', 0, 'hints', 0, 'head', '')
announce('idle')
touch()
return conversation_json()
