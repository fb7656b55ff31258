// Sending, also of what is written or asked for anew. What was typed is kept in the browser until the server has
// acknowledged it, and returns to the input when the server finally refuses it.

import { Refused, request } from '../net/request.js';
import { isNew } from '../model/lanes.js';
import * as outbox from '../model/outbox.js';
import { isRefusal, waitFor, wordsFor } from '../model/words.js';
import { newId } from '../lib/ids.js';
import * as storage from '../lib/storage.js';

const KEPT = 'outbox.';

// How other tabs hear of what was taken back: a new one sends what it finds left, also that of another one.
const TAKEN_BACK = 'taken-back';

const OUT_OF_REACH = 'A message was not sent: what it was for is not here any more. A new chat has its text.';

// Acknowledged, and its event is still not here: ask.
const EVENT_GRACE = 1000;

export function createSending({ store, link, reading, settings, drafts, notify }) {
  const busy = new Set(); // lanes that something is being sent in
  const leaves = new Map(); // client_id → what ends the sending of it

  storage.onChange(TAKEN_BACK, (client_id) => client_id && drop(client_id));

  const change = (update, ...rest) => store.set({ outbox: update(store.get().outbox, ...rest) });

  function keep(entry) {
    const { message_id, turn_id, epoch, seq, note, ...kept } = entry;
    storage.write(KEPT + entry.client_id, kept);
  }

  function send(lane, text) {
    const after = store.get().log?.state?.messages.at(-1)?.id ?? null;
    const chosen = isNew(lane) ? settings.forNewChat() : {};
    put({ lane, text, event: 'send_message', target: null, after, settings: chosen });
  }

  function edit(lane, target, text) {
    const messages = store.get().log?.state?.messages ?? [];
    const after = messages[messages.findIndex(({ id }) => id === target) - 1]?.id ?? null;
    put({ lane, text, event: 'edit_message', target, after, settings: {} });
  }

  function regenerate(lane, { id, parent_id }) {
    // A busy page is late to take the button away.
    const { log, outbox: sent } = store.get();
    const isShown = log?.state?.messages.some((message) => message.id === id);
    if (!isShown || outbox.inLane(sent, lane).some(({ target }) => target === id)) return;
    put({ lane, text: null, event: 'regenerate', target: id, after: parent_id, settings: {} });
  }

  function put({ lane, ...asked }) {
    const conversation_id = isNew(lane) ? null : lane;
    const entry = { client_id: newId(), lane, conversation_id, ...asked, sent_at: Date.now() };
    keep(entry);
    add([entry]);
    notify.clear(lane);
    drain(lane);
  }

  const add = (entries) =>
    change((all) => [...all, ...entries.map((entry) => ({ ...entry, message_id: null, turn_id: null, note: null }))]);

  // What an earlier life of this page left unacknowledged.
  function resume() {
    const left = storage.readAll(KEPT).sort((a, b) => a.sent_at - b.sent_at);
    add(left);
    new Set(left.map(({ lane }) => lane)).forEach(drain);
  }

  // Another new chat than the one that is open, whose message is not through yet: it has no other place to be found.
  function unsentNewChat() {
    const { lane: open, outbox: all } = store.get();
    return all.findLast(({ lane, message_id }) => isNew(lane) && lane !== open && message_id === null)?.lane;
  }

  async function drain(lane) {
    if (busy.has(lane)) return;
    busy.add(lane);
    try {
      for (let entry; (entry = outbox.unsent(store.get().outbox, lane)); ) await deliver(entry);
    } finally {
      busy.delete(lane);
    }
  }

  async function deliver(entry) {
    const leave = new AbortController();
    leaves.set(entry.client_id, leave);
    try {
      // A setting that was changed before sending has to be in force for this message.
      await settings.settled(entry.lane);
      const onPause = (error, milliseconds) => wait(entry, error, milliseconds);
      const attempt = () => {
        change(outbox.underWay, entry.client_id);
        return payloadOf(entry);
      };
      accepted(entry, await request(link, entry.event, attempt, { onPause, signal: leave.signal }));
    } catch (error) {
      if (error instanceof Refused) refused(entry, error);
      else if (leave.signal.aborted) isKept(entry) && takenBack(entry);
      else throw error;
    } finally {
      leaves.delete(entry.client_id);
    }
  }

  function payloadOf({ event, text, target, client_id, conversation_id, settings: chosen }) {
    if (event === 'regenerate') return { conversation_id, message_id: target, client_id };
    if (event === 'edit_message') return { conversation_id, message_id: target, text, client_id };
    return conversation_id === null ? { text, client_id, ...chosen } : { text, client_id, conversation_id };
  }

  function wait({ client_id }, error, milliseconds) {
    const note = { words: waitFor(error), until: Date.now() + milliseconds, revocable: isRefusal(error) };
    change(outbox.amend, client_id, { note });
  }

  function accepted(entry, { conversation_id, message_id, turn_id, epoch, seq }) {
    const { client_id, lane } = entry;
    storage.erase(KEPT + client_id);
    change(outbox.amend, client_id, { message_id, turn_id, epoch, seq, note: null });
    if (isNew(lane)) {
      change(outbox.rerouted, lane, conversation_id);
      outbox
        .inLane(store.get().outbox, conversation_id)
        .filter((one) => one.message_id === null)
        .forEach(keep);
      if (store.get().lane === lane) notify.begun({ conversation_id, epoch }, entry.settings);
      drain(conversation_id);
    }
    settle(store.get().log);
    setTimeout(() => forget(client_id, conversation_id, seq), EVENT_GRACE);
  }

  // The conversation has come to where it shows what was sent: how it goes on is its own affair.
  function settle(log) {
    const shown = store.get().outbox.filter((entry) => outbox.isShownBy(log, entry));
    for (const { client_id } of shown) change(outbox.without, client_id);
  }

  // By now the message has been seen as an event; if not, it is asked for.
  async function forget(client_id, conversation_id, seq) {
    const { log } = store.get();
    if (log?.id === conversation_id && log.seq < seq) await reading.heal();
    change(outbox.without, client_id);
  }

  function refused(entry, error) {
    erase(entry);
    giveBack(entry);
    const { lane, log } = store.get();
    if (error.code === 'not_found' && entry.text && log?.id !== entry.lane) {
      // Nobody would look for the text where the conversation was.
      drafts.inherit(entry.lane);
      return notify.problem(lane, OUT_OF_REACH);
    }
    // The text is in every new chat then, and so is the reason.
    notify.problem(isNew(entry.lane) && isNew(lane) ? lane : entry.lane, wordsFor(error));
  }

  function takenBack(entry) {
    withdraw(entry);
    giveBack(entry);
  }

  const giveBack = ({ lane, text }) => text && drafts.giveBack(lane, text);

  function erase({ client_id }) {
    storage.erase(KEPT + client_id);
    drop(client_id);
  }

  // From all tabs.
  function withdraw(entry) {
    erase(entry);
    storage.write(TAKEN_BACK, entry.client_id);
    storage.erase(TAKEN_BACK);
  }

  function drop(client_id) {
    change(outbox.without, client_id);
    leaves.get(client_id)?.abort();
  }

  const isKept = ({ client_id }) => store.get().outbox.some((entry) => entry.client_id === client_id);

  function takeBack(client_id) {
    const leave = leaves.get(client_id);
    if (leave) return leave.abort();
    // It is behind another one, and was never sent.
    const entry = store.get().outbox.find((one) => one.client_id === client_id);
    if (entry?.message_id === null) takenBack(entry);
  }

  // Everything that is not through, given up: the texts.
  function giveUp() {
    const left = store.get().outbox.filter(({ message_id }) => message_id === null);
    left.forEach(withdraw);
    return left.map(({ text }) => text).filter(Boolean);
  }

  return { send, edit, regenerate, resume, unsentNewChat, settle, takeBack, giveUp };
}
