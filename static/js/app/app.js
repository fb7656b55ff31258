// Puts the use cases together, and gives the views what a person can do.

import * as api from '../net/api.js';
import { request } from '../net/request.js';
import { Link } from '../net/link.js';
import { isNew } from '../model/lanes.js';
import { wordsFor } from '../model/words.js';
import * as storage from '../lib/storage.js';
import { createBranches } from './branches.js';
import { createDrafts } from './drafts.js';
import { createHealth } from './health.js';
import { createList } from './list.js';
import { createReading } from './reading.js';
import * as router from './router.js';
import { createSending } from './sending.js';
import { createSettings } from './settings.js';
import { createStore, initial } from './store.js';
import { createWaits } from './waits.js';

const HEALTH_CHECK = 5_000;

// That this browser has had a session: another one is then not begun unasked.
const SESSION = 'session';

export function createApp() {
  const store = createStore(initial);
  const link = new Link({
    createSession: api.createSession,
    mayBegin: () => !storage.read(SESSION),
    onState: connectionChanged,
    onEvent: (event) => reading.hear(event),
    onActivity: (activity) => list.hear(activity),
  });
  const notify = {
    problem,
    clear,
    gone,
    deleted,
    begun,
    made,
    reached: (log) => sending.settle(log),
    left: () => startNew({ replace: true }),
  };
  const drafts = createDrafts({ store });
  const reading = createReading({ store, link, notify });
  const list = createList({ store, link, notify });
  const settings = createSettings({ store, link, list, notify });
  const sending = createSending({ store, link, reading, settings, drafts, notify });
  const branches = createBranches({ store, link, notify });
  const health = createHealth({ store, reading });
  createWaits({ store, link });

  function connectionChanged(connection) {
    const wasLost = store.get().connection.status === 'offline';
    store.set({ connection: { ...connection, again: wasLost && connection.status === 'online' } });
    if (connection.status !== 'online') return;
    storage.write(SESSION, true);
    catchUp();
  }

  function catchUp() {
    list.refresh();
    list.removeLeft();
    list.searchAgain();
    settings.loadCatalogue();
    reading.heal();
    health.ask();
  }

  // The old session's conversations are out of reach. What was typed for them is not.
  function startOver() {
    drafts.gather(sending.giveUp());
    storage.erase(SESSION);
    store.set({ conversations: [], cursor: null, session: null });
    startNew();
    link.hurry();
  }

  function problem(lane, words) {
    store.set({ notices: { ...store.get().notices, [lane]: words } });
  }

  function clear(lane) {
    if (store.get().notices[lane]) problem(lane, undefined);
  }

  // A new chat has become a conversation: what is being typed in it goes along.
  function carryDraft(lane, id) {
    const draft = drafts.of(lane);
    if (!draft) return;
    drafts.set(lane, '');
    drafts.set(id, draft);
  }

  function begun(accepted, chosen) {
    carryDraft(store.get().lane, accepted.conversation_id);
    router.go(accepted.conversation_id, { replace: true });
    reading.begin(accepted, { id: accepted.conversation_id, title: null, memory: true, ...chosen });
  }

  // A conversation that was made without a message: by its instructions, or from a file.
  function made(lane, conversation) {
    if (lane !== null) {
      // Who has gone elsewhere meanwhile stays there; the list has it.
      if (store.get().lane !== lane) return;
      carryDraft(lane, conversation.id);
    }
    router.go(conversation.id, { replace: lane !== null });
    reading.open(conversation.id);
  }

  function gone(id) {
    if (store.get().lane === id) drafts.inherit(id);
    list.drop(id);
  }

  function deleted(id) {
    gone(id);
    if (store.get().lane === id) startNew({ replace: true });
  }

  function open(id) {
    if (store.get().lane === id) return;
    router.go(id);
    show(id);
  }

  function show(id) {
    list.markUnread(id, false);
    reading.open(id);
  }

  function startNew(options) {
    router.go(null, options);
    reading.startNew(sending.unsentNewChat());
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
    const target = drafts.editing(lane);
    if (!text) return;
    if (target === null) sending.send(lane, text);
    else sending.edit(lane, target, text);
    drafts.set(lane, '');
    drafts.stopEditing(lane);
  }

  function stopEditing() {
    const { lane, log } = store.get();
    const edited = log?.state?.messages.find(({ id }) => id === drafts.editing(lane));
    drafts.stopEditing(lane, edited?.text);
  }

  function undoRemoval() {
    const removed = list.undoRemoval();
    if (removed?.wasOpen) open(removed.id);
  }

  async function importFrom(file) {
    const { lane } = store.get();
    try {
      await link.tried;
      made(null, await api.importConversation(JSON.parse(await file.text())));
    } catch (error) {
      const why = error instanceof SyntaxError ? 'It is not an exported conversation.' : wordsFor(error);
      problem(lane, `${file.name} could not be imported. ${why}`);
    }
  }

  function start() {
    sending.resume();
    const id = router.currentId();
    if (id === null) reading.startNew(sending.unsentNewChat());
    else show(id);

    router.onMove((moved) => {
      const { lane } = store.get();
      // To go to another place on this page is no move.
      if (moved === null ? isNew(lane) : moved === lane) return;
      if (moved === null) reading.startNew(sending.unsentNewChat());
      else show(moved);
    });
    addEventListener('online', () => link.hurry());
    document.addEventListener('visibilitychange', () => {
      if (document.hidden) return;
      link.hurry();
      list.markUnread(store.get().lane, false);
      if (store.get().connection.status === 'online') catchUp();
    });
    addEventListener('pagehide', () => list.removeNow());
    setInterval(() => {
      reading.healIfSilent();
      health.check();
    }, HEALTH_CHECK);
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
    undoRemoval,
    search: list.search,
    importFrom,
    exportPath: api.exportPath,
    instruct: settings.instruct,
    loadSession: settings.loadSession,
    regenerate: (message) => sending.regenerate(store.get().lane, message),
    edit: ({ id, text }) => drafts.edit(store.get().lane, id, text),
    stopEditing,
    selectVersion: branches.select,
    takeBack: sending.takeBack,
    startOver,
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
      conversations: state.conversations.filter(({ id }) => id !== state.removed?.id),
      conversation: conversation && { ...conversation, ...choices[lane] },
      settings: isNew(lane) ? newChat : { ...conversation, ...choices[lane] },
      isNewChat: isNew(lane),
      draft: drafts.of(lane),
      editing: drafts.editing(lane),
      notice: state.notices[lane] ?? null,
    };
  }

  return { start, actions, look, subscribe: store.subscribe };
}
