-- Prepended, behind base.lua, to all scripts of one conversation but those that run for every piece of a reply.

local shared = partition()
local queue, turns, messages, children, summaries = own .. 'queue', own .. 'turns', own .. 'messages', own .. 'children',
  own .. 'summaries'
local due, waiting, ready, owners = shared .. 'due', shared .. 'waiting', shared .. 'ready', shared .. 'owners'
local counts = shared .. 'counts'
-- What an owner's keys begin with.
local listings, usages, actives = shared .. 'listing:', shared .. 'usage:', shared .. 'active:'

-- How long turns take, from their claim to their end: a sum and a number that both fade, so that their ratio is a mean of
-- what was measured lately. (Figures.service is made of them.)
local function count_service(ms)
  local m = redis.call('HMGET', counts, 'service:ms', 'service:turns', 'service:at')
  local kept = math.min(1, math.exp(((tonumber(m[3]) or 0) - a.now) / 300000))
  redis.call('HSET', counts, 'service:ms', (tonumber(m[1]) or 0) * kept + ms,
    'service:turns', (tonumber(m[2]) or 0) * kept + 1, 'service:at', a.now)
end

local function null_if_empty(value)
  if value == nil or value == '' then return cjson.null end
  return value
end

-- What the replies have used, from the fields of a hash.
local function spent(sums)
  return {
    input_tokens = tonumber(sums.input_tokens) or 0, output_tokens = tonumber(sums.output_tokens) or 0,
    cost = tonumber(sums.cost),
  }
end

local function conversation_json()
  local flat = redis.call('HGETALL', meta)
  local m = {}
  for i = 1, #flat, 2 do m[flat[i]] = flat[i + 1] end
  return cjson.encode({
    id = a.conversation_id, title = m.title, memory = m.memory == '1', provider = null_if_empty(m.provider),
    model = null_if_empty(m.model), system_prompt = null_if_empty(m.system_prompt), created_at = m.created_at,
    updated_at = m.updated_at, state = m.state, message_count = redis.call('HLEN', messages),
    head = null_if_empty(m.head), usage = spent(m),
  })
end

-- Tells all of the owner's sockets, for lists and badges. A hint: it has no seq.
local function hint(state)
  publish('s:' .. field('owner'), 'activity', cjson.encode({
    conversation_id = a.conversation_id, title = field('title'), state = state, updated_at = a.at,
  }))
end

local function announce(state)
  redis.call('HSET', meta, 'state', state, 'updated_at', a.at)
  redis.call('ZADD', listings .. field('owner'), a.now, a.conversation_id)
  hint(state)
end

-- a: owner, epoch, settings
local function create()
  redis.call('HSET', meta, 'owner', a.owner, 'epoch', a.epoch, 'seq', 0, 'title', '', 'titled', '', 'created_at', a.at,
    'fence', '', 'turn', '', 'lease', 0, 'hints', 0, 'head', '')
  for name, value in pairs(a.settings) do redis.call('HSET', meta, name, value) end
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

local function id_of(message)
  return string.match(message, '^{"id":"([^"]*)"')
end

local function is_reply(message)
  return string.find(message, '"role":"assistant"', 1, true) ~= nil
end

-- Puts a message below its parent. Returns its versions: all that are there now, in order of creation.
local function add_child(parent, id)
  local name = parent == '' and '-' or parent
  local siblings = redis.call('HGET', children, name)
  siblings = (siblings and siblings .. ',' or '') .. '"' .. id .. '"'
  redis.call('HSET', children, name, siblings)
  return '[' .. siblings .. ']'
end

-- Stored messages are without their versions, as those grow.
local function with_versions(message, versions)
  return string.sub(message, 1, -2) .. ',"versions":' .. versions .. '}'
end

-- Appends to `answer` each message and its versions, as JSON.
local function add_messages(answer, found)
  if #found == 0 then return end
  local parents = {}
  for i, message in ipairs(found) do
    local parent = parent_of(message)
    parents[i] = parent or '-'
  end
  local versions = redis.call('HMGET', children, unpack(parents))
  for i, message in ipairs(found) do answer[#answer + 1] = with_versions(message, '[' .. versions[i] .. ']') end
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

-- A reply without the conversation's own system prompt that it was given under, and without reasoning. They stand last, in
-- this order, and no quotation mark stands unescaped inside a string.
local function bare(message)
  local start = string.find(message, ',"system_prompt":"', 1, true) or string.find(message, ',"reasoning":"', 1, true)
  return start and string.sub(message, 1, start - 1) .. '}' or message
end

-- What a model is sent of the branch above a message, newest first: at most window.messages in window.bytes, and none that
-- a summary speaks for. Returns them, the newest summary above them (nil if there is none within another
-- window.messages), and whether there is anything older than these that no summary speaks for.
local function recent(id, window)
  local found, next_id = walk_up(id, window.messages)
  local summed_up = redis.call('EXISTS', summaries) == 1
  local bytes = 0
  for i, message in ipairs(found) do
    message = bare(message)
    found[i] = message
    local summary = summed_up and redis.call('HGET', summaries, id_of(message))
    bytes = bytes + #message
    if summary or bytes > window.bytes then return { unpack(found, 1, i - 1) }, summary or nil, not summary end
  end
  if not next_id then return found, nil, false end
  for steps = 0, summed_up and window.messages or -1 do
    local summary = redis.call('HGET', summaries, next_id)
    if summary then return found, summary, steps > 0 end
    local message = redis.call('HGET', messages, next_id)
    next_id = message and parent_of(message)
    if not next_id then break end
  end
  return found, nil, true
end

-- The end of the branch that goes on from `id` with what is newest.
local function leaf_below(id)
  local to_come = {}
  for _, turn_id in ipairs(redis.call('LRANGE', queue, 0, -1)) do
    local turn = cjson.decode(redis.call('HGET', turns, 't:' .. turn_id))
    to_come[turn.message_id] = turn.reply_id
  end
  while true do
    local following = to_come[id]
    if not following then
      local below = redis.call('HGET', children, id)
      if not below then return id end
      following = string.match(below, '"([^"]*)"$')
    end
    id = following
  end
end

-- About four characters of English a token, about one of other scripts; as app/memory/window.py has it.
local function estimate_tokens(said)
  local plain = #said - select(2, string.gsub(said, '[\128-\255]', ''))
  return math.ceil(plain / 4) + select(2, string.gsub(said, '[\192-\255]', ''))
end

-- The usage of a turn that ended without its provider's word, as JSON; null if nothing is known to have been used.
local function estimated_usage(said)
  local prompt = field('prompt')
  if prompt == '' then return 'null' end
  prompt = cjson.decode(prompt)
  local output = estimate_tokens(said)
  return cjson.encode({
    input_tokens = prompt.input_tokens, output_tokens = output, estimated = true,
    cost = prompt.input_price and (prompt.input_tokens * prompt.input_price + output * prompt.output_price) / 1e6,
  })
end

local function add_up(usage)
  if usage == 'null' then return end
  local used = cjson.decode(usage)
  for _, sums in ipairs({ meta, usages .. field('owner') }) do
    redis.call('HINCRBY', sums, 'input_tokens', used.input_tokens or 0)
    redis.call('HINCRBY', sums, 'output_tokens', used.output_tokens or 0)
    if used.cost then redis.call('HINCRBYFLOAT', sums, 'cost', used.cost) end
  end
end

-- Of a lease's end: it is yet to come. One that is further away than any lease is long is of a clock that was set back.
local function is_ahead(time)
  local left = tonumber(time) - a.now
  return left > 0 and left <= a.longest_lease
end

-- How many other turns of the owner are running; counts up to `limit`.
local function running_elsewhere(limit)
  local count, prefix = 0, shared .. 'c:'
  for _, id in ipairs(redis.call('SMEMBERS', actives .. field('owner'))) do
    if id ~= a.conversation_id then
      local m = redis.call('HMGET', prefix .. id .. ':meta', 'turn', 'lease')
      if not m[1] then
        redis.call('SREM', actives .. field('owner'), id) -- it expired
      elseif m[1] ~= '' and is_ahead(m[2]) then
        count = count + 1
      end
      if count == limit then break end
    end
  end
  return count
end

-- A turn of the owner is over: one that was held back because of it may start.
local function make_room()
  local owner = field('owner')
  local mine = actives .. owner
  if redis.call('EXISTS', queue) == 0 then redis.call('SREM', mine, a.conversation_id) end
  if redis.call('EXISTS', mine) == 0 then redis.call('SREM', owners, owner) end
  for _, id in ipairs(redis.call('SMEMBERS', mine)) do
    local other = shared .. 'c:' .. id .. ':meta'
    if redis.call('HGET', other, 'held') then
      redis.call('HDEL', other, 'held')
      redis.call('ZADD', due, a.now, id)
      return
    end
  end
end

-- Ends a turn: saves its reply, takes it off the queue, tells everybody. Returns the turn that is next, if any.
-- Deltas are superseded by the event that ends the turn, so the log is cut to what came with and after it.
local function conclude(turn_id, status, usage, err, finish_reason)
  local turn = cjson.decode(redis.call('HGET', turns, 't:' .. turn_id))
  local said, thought, instructed, origin = '', '', '', ',"provider":null,"model":null,"memory":null'
  if field('turn') == turn_id then
    said, thought = redis.call('GET', text) or '', redis.call('GET', reasoning) or ''
    origin, instructed = field('origin'), field('instructed')
    if usage == 'null' then usage = estimated_usage(said .. thought) end
    count_service(a.now - (tonumber(field('began')) or a.now))
    redis.call('DEL', text, reasoning)
    redis.call('HSET', meta, 'turn', '', 'lease', 0, 'fence', '', 'prompt', '', 'instructed', '')
  end
  add_up(usage)
  local about = ',"usage":' .. usage
  if err ~= '' then about = about .. ',"error":' .. err end
  local message = '{"id":"' .. turn.reply_id .. '","parent_id":"' .. turn.message_id .. '","role":"assistant","text":' ..
    cjson.encode(said) .. ',"status":"' .. status .. '","created_at":"' .. a.at .. '","turn_id":"' .. turn_id .. '"' ..
    origin .. about ..
    (finish_reason and ',"finish_reason":' .. cjson.encode(finish_reason) or '') ..
    (instructed ~= '' and ',"system_prompt":' .. cjson.encode(instructed) or '') ..
    (thought ~= '' and ',"reasoning":' .. cjson.encode(thought) or '') .. '}'
  redis.call('HSET', messages, turn.reply_id, message)
  message = with_versions(message, add_child(turn.message_id, turn.reply_id))
  local was_first = redis.call('LINDEX', queue, 0) == turn_id
  redis.call('LREM', queue, 1, turn_id)
  redis.call('ZREM', waiting, a.conversation_id .. ':' .. turn_id)
  redis.call('HSET', turns, 's:' .. turn_id, status)
  redis.call('HDEL', turns, 't:' .. turn_id, 'a:' .. turn_id, 'b:' .. turn_id, 'r:' .. turn.reply_id)
  count('turns:' .. status .. ':' .. (string.match(origin, '^,"provider":"([^"]*)"') or ''))
  local seq = emit('turn.finished',
    ',"turn_id":"' .. turn_id .. '","status":"' .. status .. '","message":' .. message .. about)

  local running = field('turn')
  local next_turn = redis.call('LINDEX', queue, 0)
  if running == '' then redis.call('XTRIM', log, 'MINID', seq .. '-0') end
  if was_first then
    redis.call('HSET', meta, 'hints', 0)
    redis.call('HDEL', meta, 'held')
    if next_turn then
      redis.call('ZADD', due, a.now + a.grace, a.conversation_id)
      redis.call('ZADD', ready, a.now, a.conversation_id)
    else
      redis.call('ZREM', due, a.conversation_id)
      redis.call('ZREM', ready, a.conversation_id)
    end
  end
  make_room()
  announce(running ~= '' and 'running' or next_turn and 'waiting' or status == 'failed' and 'failed' or 'idle')
  touch()
  return was_first and next_turn or nil
end
