// The open conversation: opening it, following its events, healing what was missed, loading what is older.

import * as api from '../net/api.js';
import { Refused, request } from '../net/request.js';
import { withOlder } from '../model/conversation.js';
import { newLane } from '../model/lanes.js';
import * as logs from '../model/log.js';
import { wordsFor } from '../model/words.js';
import { newId } from '../lib/ids.js';

// A turn that says nothing for this long may have said it while nobody could hear.
const SILENCE = 15_000;

// Events of a conversation that this page is just beginning come before it knows its name.
const MAX_STRAYS = 500;

export function createReading({ store, link, notify }) {
  let leave = new AbortController();
  let asking = false;
  let lastHeard = 0;
  let strays = [];
  let closing = {};

  const current = () => store.get().log;

  function enter(change) {
    const left = current();
    leave.abort();
    leave = new AbortController();
    asking = false;
    store.set({ log: null, missing: false, loadingOlder: false, ...change });
    // Best effort: a conversation that stays open costs the server a little, and harms nothing.
    if (left) closing = { id: left.id, done: link.ask('close_conversation', { conversation_id: left.id }) };
  }

  function open(id) {
    enter({ lane: id, log: logs.closed(id) });
    heal();
  }

  function startNew(lane = newLane(newId())) {
    enter({ lane });
  }

  // The first message of a new chat has been accepted. Its first events may be here already.
  function begin({ conversation_id, epoch }, conversation) {
    const early = strays.filter((event) => event.conversation_id === conversation_id);
    strays = [];
    enter({ lane: conversation_id, log: logs.begun(conversation_id, epoch, conversation) });
    early.forEach(hear);
    heal();
  }

  function hear(event) {
    const log = current();
    if (event.conversation_id !== log?.id) {
      strays = [...strays.slice(1 - MAX_STRAYS), event];
      return;
    }
    lastHeard = Date.now();
    take(logs.receive(log, event));
  }

  function take({ log, gap }) {
    store.set({ log });
    notify.reached(log);
    if (log.state?.deleted) notify.deleted(log.id);
    else if (gap) heal();
  }

  // Asks for whatever came after the last event that is known. It never does harm to ask.
  async function heal() {
    const { signal } = leave;
    const { id } = current() ?? {};
    if (!id || asking) return;
    asking = true;
    let result;
    try {
      // The server may handle two requests at once; an opening must not be undone by the closing before it.
      if (closing.id === id) await closing.done;
      const whereWeAre = () => ({ conversation_id: id, ...logs.position(current()) });
      const answer = await request(link, 'open_conversation', whereWeAre, { signal });
      signal.throwIfAborted();
      lastHeard = Date.now();
      result = logs.opened(current(), answer);
    } catch (error) {
      if (!(error instanceof Refused)) return; // left meanwhile
      refused(id, error);
    } finally {
      if (!signal.aborted) asking = false;
    }
    if (result) take(result);
  }

  function refused(id, error) {
    if (error.code === 'not_found') {
      store.set({ log: null, missing: true });
      notify.gone(id);
    } else {
      notify.problem(id, wordsFor(error));
    }
  }

  // For how long there has been no news of a reply that is to come.
  const silence = () => (current()?.state?.turns.length ? Date.now() - lastHeard : 0);

  function healIfSilent() {
    if (silence() >= SILENCE) heal();
  }

  async function loadOlder() {
    const { log, loadingOlder } = store.get();
    const anchor = log?.state?.messages[0];
    if (!anchor || !log.state.more || loadingOlder) return;
    const { signal } = leave;
    store.set({ loadingOlder: true });
    try {
      const page = await api.messagesBefore(log.id, anchor.id);
      if (signal.aborted) return;
      const now = current();
      store.set({ log: logs.withState(now, withOlder(now.state, anchor.id, page)) });
    } catch (error) {
      if (!signal.aborted) notify.problem(log.id, `Older messages could not be loaded. ${wordsFor(error)}`);
    } finally {
      if (!signal.aborted) store.set({ loadingOlder: false });
    }
  }

  return { open, startNew, begin, hear, heal, silence, healIfSilent, loadOlder };
}
