-- The chosen branch, newest first, before a message (a.before) or from its end. a: owner, limit, ttl
-- Returns {'not_found'}, {'bad_before'} or {'ok', more, message …}.
if not owned_by(a.owner) then return { 'not_found' } end
touch()
local from = field('head')
if a.before then
  local message = redis.call('HGET', messages, a.before)
  if not message then return { 'bad_before' } end
  from = parent_of(message)
end
local found, next_id = walk_up(from, a.limit)
local answer = { 'ok', next_id and 1 or 0 }
add_messages(answer, found)
return answer
