// What the transcript shows, from top to bottom. Pure. A row keeps its key for as long as it stands in the same place: a
// streamed reply and the saved one that replaces it are one row, and so are the versions of a message, also of one that is
// only asked for.

import { stillToShow } from './outbox.js';

const NOTHING = { messages: [], turns: [] };

// `editing` is the message that is being written anew; `connection`, whether what is being sent can get through;
// `waits`, when turns that wait are likely to begin.
export function rowsOf(state, outbox, { editing = null, connection = 'online', waits = {} } = {}) {
  const { messages, turns } = state ?? NOTHING;
  const entries = stillToShow(outbox, { messages, turns });
  const live = new Map(turns.map((turn, ahead) => [turn.message_id, liveRow(turn, ahead, waits)]));
  const rows = [];
  for (const message of beforeChange(messages, entries)) {
    if (message.role === 'assistant') {
      // While a message is being answered anew, the new answer stands in the old one's place.
      if (!live.has(message.parent_id)) rows.push(replyRow(message));
    } else {
      rows.push(saidRow(message, message.id === editing));
      if (live.has(message.id)) rows.push(live.get(message.id));
    }
  }
  const first = entries.find(({ message_id }) => message_id === null);
  const onTheWay = entries.map((entry) => ({
    ...(entry.event === 'regenerate' ? askedRow : sendingRow)(entry),
    connection,
    // They are sent one by one: while one has to wait, so have those after it.
    behind: Boolean(first?.note) && entry !== first && entry.message_id === null,
  }));
  return [...rows, ...onTheWay];
}

// What will be replaced is not shown any more, from the moment it was asked for.
function beforeChange(messages, entries) {
  const change = entries.find(({ event }) => event !== 'send_message');
  if (!change) return messages;
  return messages.slice(0, messages.findLastIndex(({ id }) => id === change.after) + 1);
}

const saidRow = (message, editing) => ({ kind: 'user', key: `said-${message.parent_id}`, message, editing });

const liveRow = (turn, ahead, waits) => ({
  kind: 'live',
  key: `reply-${turn.message_id}`,
  turn,
  ahead,
  until: waits[turn.turn_id] ?? null,
});

const replyRow = (message) => ({ kind: 'reply', key: `reply-${message.parent_id}`, message });

const askedRow = (entry) => ({ kind: 'asked', key: `reply-${entry.after}`, entry });

const sendingRow = (entry) => ({ kind: 'sending', key: `sending-${entry.client_id}`, entry });

// Where a message stands among its versions: [2, 3] is the second of three; null if it is the only one.
export function placeAmongVersions({ id, versions }) {
  const at = Array.isArray(versions) ? versions.indexOf(id) : -1;
  return at < 0 || versions.length < 2 ? null : [at + 1, versions.length];
}
