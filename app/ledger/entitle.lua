-- A title of the model's own making, if the conversation still goes by its first words. a: title, ttl
if field('titled') ~= 'words' then return 0 end
redis.call('HSET', meta, 'title', a.title, 'titled', 'model')
emit('conversation.updated', ',"conversation":' .. conversation_json())
announce(field('state'))
return 1
