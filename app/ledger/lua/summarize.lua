-- A summary of a branch up to a reply. a: reply_id, ttl. ARGV[2]: the summary as JSON: {text, provider, model}.
redis.call('HDEL', meta, 'reserved')
if redis.call('HEXISTS', messages, a.reply_id) == 0 then return 0 end
redis.call('HSET', summaries, a.reply_id, ARGV[2])
redis.call('PEXPIRE', summaries, redis.call('PTTL', meta))
return 1
