-- What a client lacks: the events after its position if they are all there, else the whole state.
-- a: owner, after?, epoch?, new_epoch, limit (messages), max_events, ttl
-- Returns {'not_found'}, {'events', epoch, seq, event …}, or
-- {'snapshot', epoch, seq, conversation, more, turns as JSON, text and reasoning of the running one, message …} (newest
-- first).
if not owned_by(a.owner) then return { 'not_found' } end
touch()
local seq = tonumber(field('seq')) or 0
if a.after and a.epoch == field('epoch') then
  if a.after > seq then
    -- The client has seen more than the ledger holds: Redis came back with less. What follows is another history.
    redis.call('HSET', meta, 'epoch', a.new_epoch)
  elseif a.after == seq then
    count('resumes:tail')
    return { 'events', a.epoch, seq }
  elseif seq - a.after <= a.max_events then
    local entries = redis.call('XRANGE', log, (a.after + 1) .. '-0', '+')
    if #entries == seq - a.after then
      local answer = { 'events', a.epoch, seq }
      for _, entry in ipairs(entries) do answer[#answer + 1] = entry[2][2] end
      count('resumes:tail')
      return answer
    end
  end
end

if a.after then count('resumes:snapshot') end

local running = field('turn')
local found, next_id = walk_up(field('head'), a.limit)
local open_turns = {}
for _, turn_id in ipairs(redis.call('LRANGE', queue, 0, -1)) do
  local turn = cjson.decode(redis.call('HGET', turns, 't:' .. turn_id))
  local origin = turn_id == running and cjson.decode('{' .. string.sub(field('origin'), 2) .. '}') or {}
  open_turns[#open_turns + 1] = {
    turn_id = turn_id, message_id = turn.message_id, reply_id = turn.reply_id,
    status = turn_id == running and 'running' or 'waiting',
    attempt = tonumber(redis.call('HGET', turns, 'a:' .. turn_id) or 0),
    provider = origin.provider, model = origin.model,
  }
end
local answer = { 'snapshot', field('epoch'), seq, conversation_json(), next_id and 1 or 0,
  #open_turns > 0 and cjson.encode(open_turns) or '[]', running ~= '' and redis.call('GET', text) or '',
  running ~= '' and redis.call('GET', reasoning) or '' }
add_messages(answer, found)
return answer
