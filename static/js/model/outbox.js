// Messages that were sent and are not yet seen in the conversation. Pure.
//
// An entry: {client_id, lane, conversation_id, text, settings, after, message_id, note}
//   lane        the conversation, or the new chat that is to become one; its entries are sent one by one, in order
//   after       the last message that was known when it was sent
//   message_id  set once the server has acknowledged it
//   note        why it is not through yet, in plain words

export const inLane = (outbox, lane) => outbox.filter((entry) => entry.lane === lane);

export const unsent = (outbox, lane) => inLane(outbox, lane).find((entry) => entry.message_id === null);

export const amend = (outbox, client_id, change) =>
  outbox.map((entry) => (entry.client_id === client_id ? { ...entry, ...change } : entry));

export const without = (outbox, client_id) => outbox.filter((entry) => entry.client_id !== client_id);

// A new chat has become a conversation: what was queued behind its first message goes there too.
export const rerouted = (outbox, lane, conversation_id) =>
  outbox.map((entry) => (entry.lane === lane ? { ...entry, lane: conversation_id, conversation_id } : entry));

// The entries to show below the messages. The event of a message can be here before its acknowledgement, and the
// acknowledgement before the event: either way it is shown once.
export function stillToShow(entries, messages) {
  const taken = new Set();
  return entries.filter((entry) => {
    const start = messages.findLastIndex(({ id }) => id === entry.after) + 1;
    const found = messages
      .slice(start)
      .find(({ id, role, text }) =>
        entry.message_id === null ? role === 'user' && text === entry.text && !taken.has(id) : id === entry.message_id,
      );
    if (found) taken.add(found.id);
    return !found;
  });
}
