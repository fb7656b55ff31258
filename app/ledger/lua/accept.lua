-- A turn in: once for each client_id, whole or not at all.
-- a: owner, client_id, turn_id, message_id, reply_id, create, title, epoch, settings, chosen {memory?, provider?, model?,
--    system_prompt?, asked_by?}, max_queued, grace, ttl, full (the whole system is), service and begin (as Pace has them,
--    if anybody can say); and at most one of
--    parent_id (the message follows that reply), edited (it is another version of that message), again (no message of its
--    own: another version of that reply)
-- ARGV[2]: the text as a JSON string.
-- Returns {status}, or {'ok', acknowledgement, turn to start now or '', how many other conversations of the owner are
-- active}.
-- Both are asked whatever the one says: another's costs what never was.
local exists, mine = redis.call('EXISTS', meta) == 1, owned_by(a.owner)
if not mine and (exists or not a.create) then return { 'not_found' } end

local first_answer = redis.call('HGET', turns, 'c:' .. a.client_id)
if first_answer then
  count('duplicates')
  return { 'ok', first_answer, '', 0 }
end
if a.full then return { 'busy' } end

local parent, question
if a.parent_id then
  local message = redis.call('HGET', messages, a.parent_id)
  if not (message and is_reply(message)) and redis.call('HEXISTS', turns, 'r:' .. a.parent_id) == 0 then
    return { 'bad_parent' }
  end
  parent = a.parent_id
elseif a.edited or a.again then
  if a.again and redis.call('HEXISTS', turns, 'r:' .. a.again) == 1 then return { 'conflict' } end
  local message = redis.call('HGET', messages, a.edited or a.again)
  if not message then return { 'no_message' } end
  if is_reply(message) ~= (a.again ~= nil) then return { 'bad_message' } end
  parent = parent_of(message) or ''
  question = a.again and parent
end

if not exists then
  create()
else
  local queued = redis.call('LLEN', queue)
  if field('turn') ~= '' then queued = queued - 1 end
  if queued >= a.max_queued then return { 'queue_full' } end
end

local position = redis.call('LLEN', queue)
if not question then
  question = a.message_id
  parent = parent or field('head')
  local message = '{"id":"' .. question .. '","parent_id":' .. (parent == '' and 'null' or '"' .. parent .. '"') ..
    ',"role":"user","text":' .. ARGV[2] .. ',"created_at":"' .. a.at .. '","turn_id":"' .. a.turn_id .. '"}'
  redis.call('HSET', messages, question, message)
  if field('title') == '' then redis.call('HSET', meta, 'title', a.title, 'titled', 'words') end
  emit('message.created', ',"message":' .. with_versions(message, add_child(parent, question)))
end
redis.call('RPUSH', queue, a.turn_id)
redis.call('ZADD', waiting, a.now, a.conversation_id .. ':' .. a.turn_id)
redis.call('SADD', actives .. a.owner, a.conversation_id)
redis.call('SADD', owners, a.owner)
redis.call('HSET', meta, 'head', a.reply_id)
if position == 0 then
  redis.call('ZADD', due, a.now + a.grace, a.conversation_id)
  redis.call('ZADD', ready, a.now, a.conversation_id)
end

local rank = redis.call('SCARD', actives .. a.owner) - 1
local wait = 0
if a.service then
  local begin = a.begin[math.min(rank + 1, #a.begin)]
  wait = math.ceil(position * (a.service + begin) + (field('turn') == '' and begin or 0))
end

local seq = emit('turn.queued', ',"turn_id":"' .. a.turn_id .. '","message_id":"' .. question ..
  '","reply_id":"' .. a.reply_id .. '","position":' .. position)
local answer = '{"conversation_id":"' .. a.conversation_id .. '","message_id":"' .. question .. '","turn_id":"' ..
  a.turn_id .. '","seq":' .. seq .. ',"epoch":"' .. field('epoch') .. '","position":' .. position ..
  (wait > 0 and ',"wait":' .. wait or '') .. '}'
local turn = a.chosen
turn.turn_id, turn.message_id, turn.reply_id = a.turn_id, question, a.reply_id
redis.call('HSET', turns, 't:' .. a.turn_id, cjson.encode(turn), 's:' .. a.turn_id, 'waiting', 'c:' .. a.client_id, answer,
  'r:' .. a.reply_id, question)
announce(field('turn') ~= '' and 'running' or 'waiting')
touch()
return { 'ok', answer, position == 0 and a.turn_id or '', rank }
