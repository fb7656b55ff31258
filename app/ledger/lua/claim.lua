-- Gives the turn to one worker, with the history to send.
-- a: turn_id, fence (new and random), lease and longest_lease (ms), max_attempts, grace, ttl, gave_up (error as JSON),
--    max_active (turns of an owner that run at a time), defaults {provider, models}, window {messages, bytes}; and of a
--    worker whose write was refused and who would write its text again: had (its fence), had_attempt,
--    wrote {provider, model}, new_epoch
-- Returns {'gone', how the turn ended or ''}, {'busy'}, {'given_up', next turn or ''}, or {'claimed', facts as JSON,
-- message, history …} with the history newest first, as stored.
local status = redis.call('HGET', turns, 's:' .. a.turn_id)
if not status or is_over(status) then return { 'gone', status or '' } end
if redis.call('LINDEX', queue, 0) ~= a.turn_id then return { 'busy' } end

local fence, attempts = field('fence'), tonumber(redis.call('HGET', turns, 'a:' .. a.turn_id) or 0)
local given_back = tonumber(redis.call('HGET', turns, 'b:' .. a.turn_id) or 0)
-- The same call again, whose answer was lost on the way: it has the turn already.
local repeated = fence == a.fence
if not repeated then
  if field('turn') ~= '' and is_ahead(field('lease')) and fence ~= a.had then return { 'busy' } end
  if running_elsewhere(a.max_active) >= a.max_active then
    redis.call('HSET', meta, 'held', 1)
    return { 'busy' }
  end
  if attempts - given_back >= a.max_attempts then
    return { 'given_up', conclude(a.turn_id, 'failed', 'null', a.gave_up) or '' }
  end
  -- The ledger has less than that worker wrote, and so less than clients have seen.
  if a.had and (fence == a.had or attempts < a.had_attempt) then
    redis.call('HSET', meta, 'epoch', a.new_epoch)
  end
  attempts = redis.call('HINCRBY', turns, 'a:' .. a.turn_id, 1)
end

-- What the message asked for, else what the conversation is set to, else the default; a model belongs to its provider.
local turn = cjson.decode(redis.call('HGET', turns, 't:' .. a.turn_id))
local set_provider, set_model = field('provider'), field('model')
local provider = turn.provider or (set_provider ~= '' and set_provider) or a.defaults.provider
local model = turn.model or (set_model ~= '' and set_provider == provider and set_model) or a.defaults.models[provider] or ''
local memory = field('memory') == '1'
if a.wrote then provider, model = a.wrote.provider, a.wrote.model end
if turn.memory ~= nil then memory = turn.memory end
local system_prompt = turn.system_prompt or field('system_prompt')

local waited = 0
if not repeated then
  if attempts > 1 and not a.had then count('takeovers') end
  waited = math.max(0, a.now - tonumber(redis.call('ZSCORE', ready, a.conversation_id) or a.now))
  redis.call('ZREM', ready, a.conversation_id)
  redis.call('HDEL', meta, 'held')
  local origin = ',"provider":' .. cjson.encode(provider) .. ',"model":' .. cjson.encode(model)
  redis.call('HSET', meta, 'turn', a.turn_id, 'lease', a.now + a.lease, 'chunk', 0, 'hints', 0, 'prompt', '',
    'began', a.now, 'fence', a.fence, 'instructed', system_prompt,
    'origin', origin .. ',"memory":' .. tostring(memory) .. (attempts > 1 and ',"attempt":' .. attempts or ''))
  redis.call('HSET', turns, 's:' .. a.turn_id, 'running')
  redis.call('DEL', text, reasoning)
  redis.call('ZREM', waiting, a.conversation_id .. ':' .. a.turn_id)
  redis.call('ZADD', due, a.now + a.lease, a.conversation_id)
  emit('turn.started', ',"turn_id":"' .. a.turn_id .. '","attempt":' .. attempts .. origin)
  announce('running')
end

local question = redis.call('HGET', messages, turn.message_id)
local history, summary, overflows = {}, nil, false
if memory then history, summary, overflows = recent(parent_of(question), a.window) end
return { 'claimed', cjson.encode({
  reply_id = turn.reply_id, fence = a.fence, attempt = attempts, provider = provider, model = model, memory = memory,
  system_prompt = system_prompt, untitled = field('titled') == 'words',
  summary = summary and cjson.decode(summary).text or '', overflows = overflows, waited = waited,
  asked_by = turn.asked_by,
}), question, unpack(history) }
