-- Prepended to every script of one conversation: its keys, its arguments, its events. Little, since what is defined here is
-- made anew for every piece of every reply.
--
-- KEYS[1]: the conversation's `meta`; the other names follow from it, as in keys.py. ARGV[1]: a JSON object of named
-- arguments; `fixed` has those that are always the same.
-- Leases are measured by Redis's own clock, as those of the workers may differ; tests bring a virtual one as `now` (ms
-- since the epoch). `at` is for people: the caller's time as ISO 8601.
--
-- Invariants that every script keeps:
--   * `seq` grows by one for each event, and each event is in the log under that id until it is trimmed.
--   * `queue` holds exactly the turns that have no saved reply; its head is the only one that may run.
--   * A write of a worker counts only while its fence is the one in `meta`. Each claim brings a new one, random, so that
--     none ever comes twice, not even from a Redis that came back with less than it had; whoever ends a turn removes it.
--   * `due` has the conversations whose queue is not empty; `ready` those of them whose first turn nobody works on, with
--     the time since when; `waiting` the turns that have never been claimed, by the time of their acknowledgement. An
--     owner's `actives` are the conversations whose queue is not empty, `owners` those who have any.
--   * `held`, in `meta`, says that the first turn waits for another one of its owner's to end; a claim removes it.
--   * `text` and `reasoning` are what has been shown of the running turn, so they are what gets saved when it ends.
--   * `messages` is a tree and only grows (until the conversation is cleared); `children` has, for each message, the JSON
--     strings of those that follow it, in order of creation, under `-` those that follow none; `head` is the leaf of the
--     chosen branch, maybe a reply that is still to come.
--   * `expiry` has the partition's conversations with their owners, by when they expire; what listings say of them then is
--     taken out by the sweep.

local meta = KEYS[1]
local own = string.sub(meta, 1, -5) -- parley:{7}:c:…:
local text, reasoning, log = own .. 'text', own .. 'reasoning', own .. 'log'
local a = setmetatable(cjson.decode(ARGV[1]), { __index = fixed })
local outbox = {}
if not a.now then
  local time = redis.call('TIME')
  a.now = time[1] * 1000 + math.floor(time[2] / 1000)
end

-- What the keys of all conversations of this partition begin with.
local function partition()
  return string.match(own, '^parley:{%d+}:')
end

local function field(name)
  return redis.call('HGET', meta, name) or ''
end

-- For people who watch: how often something has happened, in the same step as the thing itself.
local function count(name)
  redis.call('HINCRBY', partition() .. 'counts', name, 1)
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

-- `body`: the event's own fields as JSON text, each with a leading comma. Returns the event's seq.
local function emit(kind, body)
  local seq = redis.call('HINCRBY', meta, 'seq', 1)
  local event = '{"seq":' .. seq .. ',"epoch":"' .. field('epoch') .. '","conversation_id":"' .. a.conversation_id ..
    '","type":"' .. kind .. '","at":"' .. a.at .. '"' .. body .. '}'
  redis.call('XADD', log, seq .. '-0', 'e', event)
  publish('c:' .. a.conversation_id, 'event', event)
  return seq
end

-- Every use of a conversation, reading included, prolongs its life.
local function touch()
  local owner, shared = field('owner'), partition()
  for _, name in ipairs({ 'meta', 'queue', 'turns', 'messages', 'children', 'summaries', 'text', 'reasoning', 'log' }) do
    redis.call('PEXPIRE', own .. name, a.ttl)
  end
  for _, name in ipairs({ 'listing:', 'usage:', 'active:' }) do
    redis.call('PEXPIRE', shared .. name .. owner, a.ttl)
  end
  redis.call('ZADD', shared .. 'expiry', a.now + a.ttl, a.conversation_id .. ' ' .. owner)
end

-- The worker is alive.
local function renew_lease()
  local shared = partition()
  redis.call('HSET', meta, 'lease', a.now + a.lease)
  redis.call('ZADD', shared .. 'due', a.now + a.lease, a.conversation_id)
  redis.call('ZREM', shared .. 'ready', a.conversation_id) -- the sweep may have found it lapsed
end

local function grow(key, piece)
  if redis.call('APPEND', key, piece) == #piece then touch() end
end

-- The running turn goes on with this. False if it is nothing. a: turn_id; with the first piece `prompt`, what the provider
-- was sent: {input_tokens, input_price?, output_price?}, the prices in USD per million tokens.
local function add_piece(said, thought)
  if said == '' and thought == '' then return false end
  if a.prompt then redis.call('HSET', meta, 'prompt', cjson.encode(a.prompt)) end
  local about = ',"turn_id":"' .. a.turn_id .. '","text":'
  if thought ~= '' then
    grow(reasoning, thought)
    emit('turn.reasoning', about .. cjson.encode(thought))
  end
  if said ~= '' then
    grow(text, said)
    emit('turn.delta', about .. cjson.encode(said))
  end
  return true
end
