// What the transcript shows, from top to bottom. Pure. A row keeps its key for as long as it means the same thing: a
// streamed reply and the saved one that replaces it are one row.

import { stillToShow } from './outbox.js';

const NO_CONVERSATION = { messages: [], turns: [] };

export function rowsOf(state, outbox) {
  const { messages, turns } = state ?? NO_CONVERSATION;
  const unplaced = new Map(turns.map((turn, index) => [turn.turn_id, liveRow(turn, index)]));
  const byMessage = new Map(turns.map((turn) => [turn.message_id, turn.turn_id]));
  const rows = [];
  for (const message of messages) {
    if (message.role === 'assistant') {
      // While a message is being answered anew, the new answer stands in the old one's place.
      if (!byMessage.has(message.parent_id)) rows.push(replyRow(message));
      continue;
    }
    rows.push({ kind: 'user', key: `user-${message.id}`, message });
    const turn_id = byMessage.get(message.id);
    if (unplaced.has(turn_id)) rows.push(unplaced.get(turn_id));
    unplaced.delete(turn_id);
  }
  for (const entry of stillToShow(outbox, messages)) {
    rows.push({ kind: 'sending', key: `sending-${entry.client_id}`, entry });
  }
  return [...rows, ...unplaced.values()];
}

const liveRow = (turn, ahead) => ({ kind: 'live', key: `reply-${turn.turn_id}`, turn, ahead });

const replyRow = (message) => ({ kind: 'reply', key: `reply-${message.turn_id ?? message.id}`, message });
