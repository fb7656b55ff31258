-- An owner's conversations, newest first. Works on one partition, not on one conversation.
-- KEYS[1]: the owner's listing. ARGV: prefix of the partition's conversation keys, score and id of the last one seen
-- (or '' and ''), limit. Returns {more, then id and flat meta for each}.
local listing, prefix, score, last, limit = KEYS[1], ARGV[1], ARGV[2], ARGV[3], tonumber(ARGV[4])
local start = score == '' and 0 or redis.call('ZCOUNT', listing, '(' .. score, '+inf')
local answer, count = { 0 }, 0
while true do
  local page = redis.call('ZREVRANGE', listing, start, start + limit, 'WITHSCORES')
  for i = 1, #page, 2 do
    local id = page[i]
    if not (page[i + 1] == score and id >= last) then
      local m = redis.call('HGETALL', prefix .. id .. ':meta')
      if #m == 0 then
        redis.call('ZREM', listing, id)
        start = start - 1
      elseif count == limit then
        answer[1] = 1
        return answer
      else
        count = count + 1
        answer[#answer + 1] = { id, page[i + 1], redis.call('HLEN', prefix .. id .. ':messages'), m }
      end
    end
  end
  if #page < 2 * (limit + 1) then return answer end
  start = start + limit + 1
end
