// What was sent and is not yet seen in the conversation. Pure.
//
// An entry: {client_id, lane, conversation_id, event, target, text, settings, after, message_id, turn_id, note}
//   lane        the conversation, or the new chat that is to become one; its entries are sent one by one, in order
//   event       send_message; edit_message, where target is the message that it replaces; or regenerate, where target is
//               the reply that is wanted anew and there is no text
//   after       the last message that will still be shown above it
//   message_id  set, as turn_id, once the server has acknowledged it; and epoch and seq: from there on the conversation
//               shows it, or has gone on to another branch since
//   note        why it is not through yet: {words, until?, revocable}

export const inLane = (outbox, lane) => outbox.filter((entry) => entry.lane === lane);

export const unsent = (outbox, lane) => inLane(outbox, lane).find((entry) => entry.message_id === null);

export const amend = (outbox, client_id, change) =>
  outbox.map((entry) => (entry.client_id === client_id ? { ...entry, ...change } : entry));

// It may get through now: from here on it cannot be taken back for sure.
export const underWay = (outbox, client_id) =>
  outbox.map((entry) =>
    entry.client_id === client_id && entry.note ? { ...entry, note: { ...entry.note, revocable: false } } : entry,
  );

export const without = (outbox, client_id) => outbox.filter((entry) => entry.client_id !== client_id);

export const isShownBy = (log, { lane, epoch, seq }) => log?.id === lane && log.epoch === epoch && log.seq >= seq;

// A new chat has become a conversation: what was queued behind its first message goes there too.
export const rerouted = (outbox, lane, conversation_id) =>
  outbox.map((entry) => (entry.lane === lane ? { ...entry, lane: conversation_id, conversation_id } : entry));

// The entries that the conversation does not show yet. The event of a message can be here before its acknowledgement,
// and the acknowledgement before the event: either way it is shown once.
export function stillToShow(entries, { messages, turns }) {
  const taken = new Set();

  function isSeen(entry) {
    if (entry.event === 'regenerate') {
      if (entry.message_id === null) return turns.some(({ message_id }) => message_id === entry.after);
      return [...turns, ...messages].some(({ turn_id, role }) => turn_id === entry.turn_id && role !== 'user');
    }
    if (entry.message_id !== null) return messages.some(({ id }) => id === entry.message_id);
    const start = messages.findLastIndex(({ id }) => id === entry.after) + 1;
    const same = messages
      .slice(start)
      .find(({ id, role, text }) => role === 'user' && text === entry.text && id !== entry.target && !taken.has(id));
    if (same) taken.add(same.id);
    return same !== undefined;
  }

  return entries.filter((entry) => !isSeen(entry));
}
