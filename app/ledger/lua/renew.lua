-- Redis came back with less than clients have seen: what follows is another history, and they are told so.
-- a: seq (that they have seen). Does nothing if the ledger has that much after all.
local seq = tonumber(field('seq'))
if not seq or seq >= a.seq then return 0 end
redis.call('HSET', meta, 'epoch', a.new_epoch, 'seq', a.seq)
emit('conversation.updated', ',"conversation":' .. conversation_json())
return 1
