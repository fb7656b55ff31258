-- An event of a running turn that carries no text. a: fence, kind, lease. ARGV[2]: its fields as JSON text, each with a
-- leading comma. Returns 'ok' or 'refused'.
if field('fence') ~= a.fence then
  count('refused')
  return 'refused'
end
redis.call('HSET', meta, 'lease', a.now + a.lease)
redis.call('ZADD', due, a.now + a.lease, a.conversation_id)
redis.call('ZREM', ready, a.conversation_id)
emit(a.kind, ARGV[2])
return 'ok'
