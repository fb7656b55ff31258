-- What a model would be sent of the branch that ends with a reply, as `recent` has it.
-- a: reply_id, window {messages, bytes}, reserve (ms; 0: none): until then, or until a summary comes, the next caller that
-- would reserve the branch gets nothing. Returns {} or {summary or '', message …}, newest first.
if a.reserve > 0 and (tonumber(field('reserved')) or 0) > a.now then return {} end
if redis.call('HEXISTS', messages, a.reply_id) == 0 then return {} end
if a.reserve > 0 then redis.call('HSET', meta, 'reserved', a.now + a.reserve) end
local found, summary = recent(a.reply_id, a.window)
return { summary and cjson.decode(summary).text or '', unpack(found) }
