// What a conversation looks like after a snapshot or an event. Pure: state in, state out; nothing is changed in place,
// so that views can tell by reference what is new.
//
// `messages` is the chosen branch, oldest first. `turns` are the running and waiting ones, in the order they will run:
// the place in it is the place in the queue. `stale` says that another branch is shown now, or that the branch goes off
// from a message that was never loaded: only a new snapshot tells what is on it.

export const empty = (conversation) => ({
  conversation,
  messages: [],
  more: false,
  turns: [],
  deleted: false,
  stale: false,
});

export function fromSnapshot(snapshot, before) {
  const { messages } = snapshot;
  const state = {
    ...empty(snapshot.conversation),
    messages,
    more: snapshot.more,
    turns: snapshot.turns.map(newTurn),
  };
  // Older messages that were loaded before stay: what lies before a message never changes, parents are for good.
  const known = before && messages.length ? before.messages.findIndex(({ id }) => id === messages[0].id) : -1;
  if (known > 0) {
    state.messages = [...before.messages.slice(0, known), ...messages];
    state.more = before.more;
  }
  return state;
}

// `anchor` is the message that the page was asked for. If it is no longer the first one, the answer came too late.
export function withOlder(state, anchor, page) {
  if (state.messages[0]?.id !== anchor) return state;
  return { ...state, messages: [...page.messages, ...state.messages], more: page.more };
}

export function apply(state, event) {
  const change = CHANGES[event.type];
  // A newer server may send events that this page does not know; they count in the order, and that is all.
  return change ? { ...state, ...change(state, event) } : state;
}

const CHANGES = {
  'message.created': (state, { message }) => branchOff(state, message),

  // A message that is answered anew is the end of what is shown, until the new answer is there.
  'turn.queued': ({ messages, turns, stale }, { turn_id, message_id }) => {
    const asked = messages.findLastIndex(({ id }) => id === message_id);
    return {
      messages: asked < 0 ? messages : messages.slice(0, asked + 1),
      stale: stale || asked < 0,
      turns: turns.some((turn) => turn.turn_id === turn_id)
        ? turns
        : [...turns, newTurn({ turn_id, message_id, status: 'waiting' })],
    };
  },

  'turn.started': (state, { turn_id, attempt, provider, model }) => ({
    turns: amend(withTurn(state, turn_id), turn_id, () => ({
      status: 'running',
      attempt,
      provider,
      model,
      text: '',
      reasoning: '',
      retrying: null,
    })),
  }),

  'turn.reasoning': (state, { turn_id, text }) => ({
    turns: amend(withTurn(state, turn_id), turn_id, (turn) => ({
      status: 'running',
      reasoning: turn.reasoning + text,
      retrying: null,
    })),
  }),

  'turn.delta': (state, { turn_id, text }) => ({
    turns: amend(withTurn(state, turn_id), turn_id, (turn) => ({
      status: 'running',
      text: turn.text + text,
      retrying: null,
    })),
  }),

  'turn.retrying': (state, { turn_id, reason, delay, at }) => ({
    turns: amend(withTurn(state, turn_id), turn_id, () => ({ retrying: { reason, delay, at } })),
  }),

  'turn.finished': ({ conversation, messages, turns }, event) => {
    const reply = event.message ?? unsavedReply(turns, event);
    return {
      conversation: event.usage ? { ...conversation, usage: sumOf(conversation.usage, event.usage) } : conversation,
      messages: reply ? place(messages, reply) : messages,
      turns: turns.filter(({ turn_id }) => turn_id !== event.turn_id),
    };
  },

  'conversation.updated': ({ stale }, { conversation, head }) => ({
    conversation,
    stale: stale || head !== undefined,
  }),

  'conversation.cleared': (state, { conversation }) => empty(conversation ?? state.conversation),

  'conversation.deleted': (state) => ({ ...empty(state.conversation), deleted: true }),
};

function newTurn({ turn_id, message_id = null, status, attempt = 1, provider = null, model = null, text, reasoning }) {
  return {
    turn_id,
    message_id,
    status,
    attempt,
    provider,
    model,
    text: text ?? '',
    reasoning: reasoning ?? '',
    retrying: null,
  };
}

// A turn that nobody announced: its message tells where it belongs.
function withTurn({ messages, turns }, turn_id) {
  if (turns.some((turn) => turn.turn_id === turn_id)) return turns;
  const asked = messages.findLast((message) => message.role === 'user' && message.turn_id === turn_id);
  return [...turns, newTurn({ turn_id, message_id: asked?.id, status: 'running' })];
}

// A conversation's usage is that of all its replies.
function sumOf(before, usage) {
  const parts = ['input_tokens', 'output_tokens', 'cost'].map((part) => [part, (before?.[part] ?? 0) + (usage[part] ?? 0)]);
  return Object.fromEntries(parts);
}

function amend(turns, turn_id, change) {
  return turns.map((turn) => (turn.turn_id === turn_id ? { ...turn, ...change(turn) } : turn));
}

// A turn can fail or be stopped with nothing saved; what went wrong must be seen all the same.
function unsavedReply(turns, { turn_id, status, error, at }) {
  const turn = turns.find((one) => one.turn_id === turn_id);
  if (!turn || status === 'done') return null;
  const { message_id, text, provider, model } = turn;
  const reply = { id: `unsaved-${turn_id}`, parent_id: message_id, role: 'assistant', turn_id, status, text };
  return { ...reply, created_at: at, provider, model, usage: null, error };
}

// A message that has the same parent as one that is shown begins another branch: what is shown ends where they part.
function branchOff({ messages, stale }, message) {
  if (messages.some(({ id }) => id === message.id)) return { messages: place(messages, message) };
  const sibling = messages.findIndex(({ role, parent_id }) => role === 'user' && parent_id === message.parent_id);
  const parent = messages.findLastIndex(({ id }) => id === message.parent_id);
  if (message.parent_id === null) return { messages: [message], more: false };
  if (sibling >= 0) return { messages: [...messages.slice(0, sibling), message] };
  if (parent >= 0) return { messages: [...messages.slice(0, parent + 1), message] };
  // The parent is the reply that is still being written, or one that was never loaded.
  const last = messages.at(-1);
  return { messages: [...messages, message], stale: stale || last?.role !== 'user' };
}

// A reply stands right after what it answers, also when other messages were queued meanwhile; another reply to the same
// message takes its place. One to a message that is not shown belongs to another branch.
function place(messages, message) {
  const same = messages.findLastIndex(({ id }) => id === message.id);
  if (same >= 0) return messages.with(same, message);
  if (message.role !== 'assistant') return [...messages, message];
  const asked = messages.findLastIndex(({ id }) => id === message.parent_id);
  if (asked < 0) return messages;
  const next = messages[asked + 1];
  const replaced = next?.role === 'assistant' && next.parent_id === message.parent_id ? 1 : 0;
  return messages.toSpliced(asked + 1, replaced, message);
}
