-- A conversation that was had before, maybe elsewhere. a: owner, title, epoch, settings, head, count (of messages), ttl
-- ARGV[2…]: id and JSON of each message; then for each that has followers its id (`-` for none) and theirs, as `children`
-- has them. Returns the conversation, or '' if the id is taken.
-- The id is random, or the client's own for this call: if it is there, this call has been made already.
if redis.call('EXISTS', meta) == 1 then return owned_by(a.owner) and conversation_json() or '' end
create()
redis.call('HSET', meta, 'title', a.title, 'titled', 'user', 'head', a.head)

local function put(key, from, to)
  for i = from, to, 1000 do redis.call('HSET', key, unpack(ARGV, i, math.min(i + 999, to))) end
end
put(messages, 2, 1 + 2 * a.count)
put(children, 2 + 2 * a.count, #ARGV)
announce('idle')
touch()
return conversation_json()
