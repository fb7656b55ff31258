// Puts the use cases together, and gives the views what a person can do.

import { createSession } from '../net/api.js';
import { request } from '../net/request.js';
import { Link } from '../net/link.js';
import { isNew } from '../model/lanes.js';
import { createDrafts } from './drafts.js';
import { createList } from './list.js';
import { createReading } from './reading.js';
import * as router from './router.js';
import { createSending } from './sending.js';
import { createSettings } from './settings.js';
import { createStore, initial } from './store.js';

const HEALTH_CHECK = 5_000;

export function createApp() {
  const store = createStore(initial);
  const link = new Link({
    createSession,
    onState: connectionChanged,
    onEvent: (event) => reading.hear(event),
    onActivity: (activity) => list.hear(activity),
  });
  const notify = { problem, clear, gone: (id) => list.drop(id), deleted, begun };
  const drafts = createDrafts({ store });
  const reading = createReading({ store, link, notify });
  const list = createList({ store, link, notify });
  const settings = createSettings({ store, link, list, notify });
  const sending = createSending({ store, link, reading, settings, drafts, notify });

  function connectionChanged(connection) {
    store.set({ connection });
    if (connection.status === 'online') catchUp();
  }

  function catchUp() {
    list.refresh();
    settings.loadCatalogue();
    reading.heal();
  }

  function problem(lane, words) {
    store.set({ notices: { ...store.get().notices, [lane]: words } });
  }

  function clear(lane) {
    if (store.get().notices[lane]) problem(lane, undefined);
  }

  function begun(accepted, chosen) {
    router.go(accepted.conversation_id, { replace: true });
    reading.begin(accepted, { id: accepted.conversation_id, title: null, memory: true, ...chosen });
  }

  function deleted(id) {
    list.drop(id);
    if (store.get().lane === id) startNew({ replace: true });
  }

  function open(id) {
    if (store.get().lane === id) return;
    router.go(id);
    reading.open(id);
  }

  function startNew(options) {
    router.go(null, options);
    reading.startNew();
  }

  async function stop(turn_id) {
    const { lane, stopping } = store.get();
    store.set({ stopping: [...stopping, turn_id] });
    try {
      await request(link, 'stop_turn', { conversation_id: lane, turn_id });
    } catch {
      // It has ended by itself meanwhile: what is shown next says how.
      reading.heal();
    } finally {
      store.set({ stopping: store.get().stopping.filter((id) => id !== turn_id) });
    }
  }

  function send() {
    const { lane } = store.get();
    const text = drafts.of(lane).trim();
    if (!text) return;
    sending.send(lane, text);
    drafts.set(lane, '');
  }

  function start() {
    const unsentNewChat = sending.resume();
    const id = router.currentId();
    if (id === null) reading.startNew(unsentNewChat);
    else reading.open(id);

    router.onMove((moved) => (moved === null ? reading.startNew() : reading.open(moved)));
    addEventListener('online', () => link.hurry());
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) return;
      link.hurry();
      if (store.get().connection.status === 'online') catchUp();
    });
    setInterval(() => reading.healIfSilent(), HEALTH_CHECK);
    link.open();
  }

  const actions = {
    open,
    startNew,
    send,
    stop,
    type: (text) => drafts.set(store.get().lane, text),
    choose: (choice) => settings.choose(store.get().lane, choice),
    rename: (id, title) => settings.choose(id, { title }),
    clear: list.clear,
    remove: list.remove,
    loadOlder: reading.loadOlder,
    moreConversations: list.more,
    dismiss: () => clear(store.get().lane),
    retryConnection: () => link.hurry(),
  };

  // What the views are shown: the state, and what follows from it for the open conversation.
  function look() {
    const state = store.get();
    const { lane, log, newChat, choices } = state;
    const conversation = log?.state?.conversation ?? null;
    return {
      ...state,
      conversation: conversation && { ...conversation, ...choices[lane] },
      settings: isNew(lane) ? newChat : { ...conversation, ...choices[lane] },
      isNewChat: isNew(lane),
      draft: drafts.of(lane),
      notice: state.notices[lane] ?? null,
    };
  }

  return { start, actions, look, subscribe: store.subscribe };
}
