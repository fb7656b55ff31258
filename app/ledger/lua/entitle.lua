-- A title of the model's own making, if the conversation still goes by its first words; or '': it made none that could be
-- used, and is not asked again. a: title, ttl
if field('titled') ~= 'words' then return 0 end
if a.title == '' then
  redis.call('HSET', meta, 'titled', 'model')
  return 0
end
redis.call('HSET', meta, 'title', a.title, 'titled', 'model')
emit('conversation.updated', ',"conversation":' .. conversation_json())
announce(field('state'))
return 1
