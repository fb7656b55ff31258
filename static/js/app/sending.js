// Sending: what was typed is kept in the browser until the server has acknowledged it, and returns to the input when
// the server finally refuses it.

import { Refused, request } from '../net/request.js';
import { isNew } from '../model/lanes.js';
import * as outbox from '../model/outbox.js';
import { wordsFor } from '../model/words.js';
import { newId } from '../lib/ids.js';
import * as storage from '../lib/storage.js';

const KEPT = 'outbox.';

// Acknowledged, and its event is still not here: ask.
const EVENT_GRACE = 1000;

export function createSending({ store, link, reading, settings, drafts, notify }) {
  const busy = new Set(); // lanes that something is being sent in

  const change = (update, ...rest) => store.set({ outbox: update(store.get().outbox, ...rest) });

  function keep(entry) {
    const { message_id, note, ...kept } = entry;
    storage.write(KEPT + entry.client_id, kept);
  }

  function send(lane, text) {
    const entry = {
      client_id: newId(),
      lane,
      conversation_id: isNew(lane) ? null : lane,
      text,
      settings: isNew(lane) ? settings.forNewChat() : {},
      after: store.get().log?.state?.messages.at(-1)?.id ?? null,
      sent_at: Date.now(),
    };
    keep(entry);
    add([entry]);
    notify.clear(lane);
    drain(lane);
  }

  const add = (entries) =>
    change((all) => [...all, ...entries.map((entry) => ({ ...entry, message_id: null, note: null }))]);

  // What an earlier life of this page left unacknowledged. Gives the new chat among it that is to be shown, if any.
  function resume() {
    const left = storage.readAll(KEPT).sort((a, b) => a.sent_at - b.sent_at);
    add(left);
    const lanes = [...new Set(left.map(({ lane }) => lane))];
    lanes.forEach(drain);
    return lanes.findLast(isNew);
  }

  async function drain(lane) {
    if (busy.has(lane)) return;
    busy.add(lane);
    try {
      for (let entry; (entry = outbox.unsent(store.get().outbox, lane));) await deliver(entry);
    } finally {
      busy.delete(lane);
    }
  }

  async function deliver(entry) {
    // A setting that was changed before sending has to be in force for this message.
    await settings.settled(entry.lane);
    try {
      const onPause = (error) => wait(entry, error);
      accepted(entry, await request(link, 'send_message', payloadOf(entry), { onPause }));
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      refused(entry, error);
    }
  }

  const payloadOf = ({ text, client_id, conversation_id, settings: chosen }) =>
    conversation_id === null ? { text, client_id, ...chosen } : { text, client_id, conversation_id };

  const wait = ({ client_id }, error) => change(outbox.amend, client_id, { note: wordsFor(error) });

  function accepted(entry, { conversation_id, message_id, epoch, seq }) {
    const { client_id, lane } = entry;
    storage.erase(KEPT + client_id);
    change(outbox.amend, client_id, { message_id, note: null });
    if (isNew(lane)) {
      change(outbox.rerouted, lane, conversation_id);
      outbox
        .inLane(store.get().outbox, conversation_id)
        .filter((one) => one.message_id === null)
        .forEach(keep);
      if (store.get().lane === lane) notify.begun({ conversation_id, epoch }, entry.settings);
      drain(conversation_id);
    }
    setTimeout(() => forget(client_id, conversation_id, seq), EVENT_GRACE);
  }

  // By now the message has been seen as an event; if not, it is asked for.
  async function forget(client_id, conversation_id, seq) {
    const { log } = store.get();
    if (log?.id === conversation_id && log.seq < seq) await reading.heal();
    change(outbox.without, client_id);
  }

  function refused({ client_id, lane, text }, error) {
    storage.erase(KEPT + client_id);
    change(outbox.without, client_id);
    drafts.giveBack(lane, text);
    notify.problem(lane, wordsFor(error));
  }

  return { send, resume };
}
