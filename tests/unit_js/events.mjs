// Events and messages as the server sends them, for the tests.

export const user = (id, turn_id, parent_id = null) => ({
  id,
  parent_id,
  role: 'user',
  text: `question ${id}`,
  created_at: '2030-01-01T00:00:00Z',
  turn_id,
});

export const reply = (id, parent_id, turn_id, more = {}) => ({
  id,
  parent_id,
  role: 'assistant',
  text: `answer ${id}`,
  status: 'done',
  created_at: '2030-01-01T00:00:01Z',
  turn_id,
  provider: 'local',
  model: 'tiny',
  usage: null,
  versions: [id],
  ...more,
});

export const event = (seq, type, carries = {}, epoch = 'e1') => ({
  conversation_id: 'c',
  epoch,
  seq,
  type,
  at: '2030-01-01T00:00:00Z',
  ...carries,
});

// One message and its whole reply, as events 1 to 6.
export const story = () => [
  event(1, 'message.created', { message: user('m1', 't1') }),
  event(2, 'turn.queued', { turn_id: 't1', message_id: 'm1', position: 0 }),
  event(3, 'turn.started', { turn_id: 't1', attempt: 1, provider: 'local', model: 'tiny' }),
  event(4, 'turn.delta', { turn_id: 't1', text: 'Hel' }),
  event(5, 'turn.delta', { turn_id: 't1', text: 'lo' }),
  event(6, 'turn.finished', { turn_id: 't1', status: 'done', message: reply('r1', 'm1', 't1', { text: 'Hello' }) }),
];

export const snapshot = (more = {}) => ({
  conversation: { id: 'c', title: 'A talk' },
  messages: [],
  more: false,
  turns: [],
  ...more,
});
