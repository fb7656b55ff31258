-- Where a turn stands. a: owner, turn_id, message_id (its question), ttl
-- Returns {'not_found'}, or {status, epoch, seq, attempt, text and reasoning so far, origin as JSON or '', saved reply or
-- '', its id or ''}: that of one to come is known before.
if not owned_by(a.owner) then return { 'not_found' } end
local status = redis.call('HGET', turns, 's:' .. a.turn_id)
if not status then return { 'not_found' } end
touch()
local answer = { status, field('epoch'), tonumber(field('seq')) }
if not is_over(status) then
  local running = field('turn') == a.turn_id
  answer[4] = tonumber(redis.call('HGET', turns, 'a:' .. a.turn_id) or 0)
  answer[5] = running and redis.call('GET', text) or ''
  answer[6] = running and redis.call('GET', reasoning) or ''
  answer[7] = running and '{' .. string.sub(field('origin'), 2) .. '}' or ''
  answer[8] = ''
  answer[9] = cjson.decode(redis.call('HGET', turns, 't:' .. a.turn_id)).reply_id
  return answer
end
answer[4], answer[5], answer[6], answer[7], answer[8], answer[9] = 0, '', '', '', '', ''
local versions = redis.call('HGET', children, a.message_id)
for id in string.gmatch(versions or '', '"([^"]*)"') do
  local message = redis.call('HGET', messages, id)
  if string.find(message, '"turn_id":"' .. a.turn_id .. '"', 1, true) then
    answer[8], answer[9] = with_versions(message, '[' .. versions .. ']'), id
  end
end
return answer
