-- An empty conversation. a: owner, title, epoch, settings, ttl. Returns the conversation, or '' if the id is taken.
if redis.call('EXISTS', meta) == 1 then return '' end
redis.call('HSET', meta, 'owner', a.owner, 'epoch', a.epoch, 'title', a.title, 'memory', a.settings.memory,
  'provider', a.settings.provider, 'model', a.settings.model, 'system_prompt', a.settings.system_prompt,
  'created_at', a.at, 'seq', 0, 'fence', '', 'turn', '', 'lease', 0, 'hints', 0, 'head', '')
announce('idle')
touch()
return conversation_json()
