-- A message in: once for each client_id, whole or not at all.
-- a: owner, client_id, turn_id, message_id, reply_id, parent_id?, create, title, epoch, settings, max_queued, grace, ttl
-- ARGV[2]: the text as a JSON string. ARGV[3]: the turn's record as JSON.
-- Returns {status, acknowledgement, turn to start now or ''}.
local exists = redis.call('EXISTS', meta) == 1
if exists and not owned_by(a.owner) or not exists and not a.create then return { 'not_found' } end

local first_answer = redis.call('HGET', turns, 'c:' .. a.client_id)
if first_answer then return { 'ok', first_answer, '' } end

local waiting = redis.call('LLEN', queue)
if exists then
  if field('turn') ~= '' then waiting = waiting - 1 end
  if waiting >= a.max_queued then return { 'queue_full' } end
  if a.parent_id then
    local parent = redis.call('HGET', messages, a.parent_id)
    local is_reply = parent and string.find(parent, '"role":"assistant"', 1, true)
    if not is_reply and redis.call('HEXISTS', turns, 'r:' .. a.parent_id) == 0 then return { 'bad_parent' } end
  end
elseif a.parent_id then
  return { 'bad_parent' }
else
  redis.call('HSET', meta, 'owner', a.owner, 'epoch', a.epoch, 'title', '', 'memory', a.settings.memory,
    'provider', a.settings.provider, 'model', a.settings.model, 'system_prompt', a.settings.system_prompt,
    'created_at', a.at, 'fence', '', 'turn', '', 'lease', 0, 'hints', 0, 'head', '')
end

local parent = a.parent_id or field('head')
local position = redis.call('LLEN', queue)
local message = '{"id":"' .. a.message_id .. '","parent_id":' .. (parent == '' and 'null' or '"' .. parent .. '"') ..
  ',"role":"user","text":' .. ARGV[2] .. ',"created_at":"' .. a.at .. '","turn_id":"' .. a.turn_id .. '"}'
redis.call('HSET', messages, a.message_id, message)
redis.call('RPUSH', queue, a.turn_id)
redis.call('HSET', meta, 'head', a.reply_id)
if field('title') == '' then redis.call('HSET', meta, 'title', a.title) end
if position == 0 then redis.call('ZADD', due, a.now + a.grace, a.conversation_id) end

emit('message.created', ',"message":' .. message)
local seq = emit('turn.queued', ',"turn_id":"' .. a.turn_id .. '","message_id":"' .. a.message_id ..
  '","position":' .. position)
local answer = '{"conversation_id":"' .. a.conversation_id .. '","message_id":"' .. a.message_id .. '","turn_id":"' ..
  a.turn_id .. '","seq":' .. seq .. ',"epoch":"' .. field('epoch') .. '","position":' .. position .. '}'
redis.call('HSET', turns, 't:' .. a.turn_id, ARGV[3], 's:' .. a.turn_id, 'waiting', 'c:' .. a.client_id, answer,
  'r:' .. a.reply_id, a.message_id)
announce(field('turn') ~= '' and 'running' or 'waiting')
touch()
return { 'ok', answer, position == 0 and a.turn_id or '' }
