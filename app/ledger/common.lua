-- Prepended to every script of one conversation.
--
-- KEYS: the conversation's keys, in the order of keys.py. ARGV[1]: a JSON object of named arguments.
-- Leases are measured by Redis's own clock, as those of the workers may differ; tests bring a virtual one as `now` (ms
-- since the epoch). `at` is for people: the caller's time as ISO 8601.
--
-- Invariants that every script keeps:
--   * `seq` grows by one for each event, and each event is in the log under that id until it is trimmed.
--   * `queue` holds exactly the turns that have no saved reply; its head is the only one that may run.
--   * A write of a worker counts only while its fence is the one in `meta`. Each claim brings a new one, random, so that
--     none ever comes twice, not even from a Redis that came back with less than it had; whoever ends a turn removes it.
--   * `text` is what has been shown of the running turn, so it is what gets saved when the turn ends.

local meta, queue, turns, messages, text, log, due, listings = unpack(KEYS)
local a = cjson.decode(ARGV[1])
local outbox = {}
if not a.now then
  local time = redis.call('TIME')
  a.now = time[1] * 1000 + math.floor(time[2] / 1000)
end

local function field(name)
  return redis.call('HGET', meta, name) or ''
end

-- In the format of python-socketio's Redis queue. Where that queue is another Redis (a.relay), the caller passes it on.
local function publish(room, event, payload)
  local channel = a.channel .. room
  local message = '{"method":"emit","namespace":"/","event":"' .. event .. '","room":"' .. room .. '","data":[' ..
    payload .. ']}'
  if a.relay then
    outbox[#outbox + 1] = channel
    outbox[#outbox + 1] = message
  else
    redis.call('PUBLISH', channel, message)
  end
end

-- `body`: the event's own fields as JSON text, each with a leading comma.
local function event_json(kind, body)
  local seq = redis.call('HINCRBY', meta, 'seq', 1)
  return '{"seq":' .. seq .. ',"epoch":"' .. field('epoch') .. '","conversation_id":"' .. a.conversation_id ..
    '","type":"' .. kind .. '","at":"' .. a.at .. '"' .. body .. '}', seq
end

local function emit(kind, body)
  local event, seq = event_json(kind, body)
  redis.call('XADD', log, seq .. '-0', 'e', event)
  publish('c:' .. a.conversation_id, 'event', event)
  return seq
end

local function null_if_empty(value)
  if value == nil or value == '' then return cjson.null end
  return value
end

local function conversation_json()
  local flat = redis.call('HGETALL', meta)
  local m = {}
  for i = 1, #flat, 2 do m[flat[i]] = flat[i + 1] end
  return cjson.encode({
    id = a.conversation_id, title = m.title, memory = m.memory == '1', provider = null_if_empty(m.provider),
    model = null_if_empty(m.model), system_prompt = null_if_empty(m.system_prompt), created_at = m.created_at,
    updated_at = m.updated_at, state = m.state, message_count = redis.call('HLEN', messages),
  })
end

-- Tells all of the owner's sockets, for lists and badges. A hint: it has no seq.
local function announce(state)
  local owner = field('owner')
  redis.call('HSET', meta, 'state', state, 'updated_at', a.at)
  redis.call('ZADD', listings .. owner, a.now, a.conversation_id)
  publish('s:' .. owner, 'activity', cjson.encode({
    conversation_id = a.conversation_id, title = field('title'), state = state, updated_at = a.at,
  }))
end

-- Every use of a conversation, reading included, prolongs its life.
local function touch()
  for _, key in ipairs({ meta, queue, turns, messages, text, log, listings .. field('owner') }) do
    redis.call('PEXPIRE', key, a.ttl)
  end
end

local function owned_by(owner)
  return field('owner') == owner and field('deleted') == ''
end

local function is_over(status)
  return status == 'done' or status == 'stopped' or status == 'failed'
end

-- A message's JSON starts with its id and its parent's, so that a walk up the tree need not decode it.
local function parent_of(message)
  return string.match(message, '^{"id":"[^"]*","parent_id":"([^"]*)"')
end

-- The messages from `id` upwards, newest first, at most `limit`; and the id of the next one, if there is any.
-- A reply that is still to come has no message yet: the walk goes on with the question it will answer.
local function walk_up(id, limit)
  local found = {}
  while id and id ~= '' do
    local message = redis.call('HGET', messages, id)
    if not message then
      id = redis.call('HGET', turns, 'r:' .. id)
      message = id and redis.call('HGET', messages, id)
      if not message then break end
    end
    if #found == limit then return found, id end
    found[#found + 1] = message
    id = parent_of(message)
  end
  return found, nil
end

-- Ends a turn: saves its reply, takes it off the queue, tells everybody. Returns the turn that is next, if any.
-- Deltas are superseded by the event that ends the turn, so the log is cut to what came with and after it.
local function conclude(turn_id, status, usage, err)
  local turn = cjson.decode(redis.call('HGET', turns, 't:' .. turn_id))
  local said, origin = '', ',"provider":null,"model":null,"memory":null'
  if field('turn') == turn_id then
    said = redis.call('GET', text) or ''
    origin = field('origin')
    redis.call('DEL', text)
    redis.call('HSET', meta, 'turn', '', 'lease', 0, 'fence', '')
  end
  local about = ',"usage":' .. usage
  if err ~= '' then about = about .. ',"error":' .. err end
  local message = '{"id":"' .. turn.reply_id .. '","parent_id":"' .. turn.message_id .. '","role":"assistant","text":' ..
    cjson.encode(said) .. ',"status":"' .. status .. '","created_at":"' .. a.at .. '","turn_id":"' .. turn_id .. '"' ..
    origin .. about .. ',"versions":["' .. turn.reply_id .. '"]}'
  redis.call('HSET', messages, turn.reply_id, message)
  redis.call('LREM', queue, 1, turn_id)
  redis.call('HSET', turns, 's:' .. turn_id, status)
  redis.call('HDEL', turns, 't:' .. turn_id, 'a:' .. turn_id, 'r:' .. turn.reply_id)
  local seq = emit('turn.finished',
    ',"turn_id":"' .. turn_id .. '","status":"' .. status .. '","message":' .. message .. about)

  local running = field('turn')
  local next_turn = redis.call('LINDEX', queue, 0)
  if running == '' then
    redis.call('XTRIM', log, 'MINID', seq .. '-0')
    redis.call('HSET', meta, 'hints', 0)
    if next_turn then
      redis.call('ZADD', due, a.now + a.grace, a.conversation_id)
    else
      redis.call('ZREM', due, a.conversation_id)
    end
  end
  announce(running ~= '' and 'running' or next_turn and 'waiting' or status == 'failed' and 'failed' or 'idle')
  touch()
  return running == '' and next_turn or nil
end
