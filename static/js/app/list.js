// The session's conversations: the list beside the chat, kept live by `activity`.

import * as api from '../net/api.js';
import { Refused, request } from '../net/request.js';
import { withState } from '../model/log.js';
import { wordsFor } from '../model/words.js';
import { sleep } from '../lib/backoff.js';
import * as storage from '../lib/storage.js';

const PAGE = 50;

// Who types does not want each letter looked up.
const TYPING = 180;

// How long a deletion can be undone.
export const UNDO = 8_000;

const UNREAD = 'unread';
// Each that is to be deleted: kept until the server has said yes.
const REMOVED = 'removed.';
const ENDED = new Set(['idle', 'failed']);

export function createList({ store, link, notify }) {
  let searching = new AbortController();
  let undoTimer;

  store.set({ unread: storage.read(UNREAD) ?? [] });
  storage.onChange(UNREAD, (unread) => {
    store.set({ unread: unread ?? [] });
    // What is being looked at here is not new, whoever says so.
    if (!document.hidden) markUnread(store.get().lane, false);
  });

  const put = (conversations) => store.set({ conversations });

  const merge = (known, { conversation_id, ...news }) => ({ ...known, id: conversation_id, ...news });

  async function page(options) {
    try {
      return await request(link, 'list_conversations', { limit: PAGE, ...options });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      notify.problem(store.get().lane, `The list of conversations could not be loaded. ${wordsFor(error)}`);
      return null;
    }
  }

  async function refresh() {
    const first = await page();
    if (!first) return;
    const { conversations, cursor } = store.get();
    const ids = first.conversations.map(({ id }) => id);
    // Who has looked further down stays there.
    const end = first.cursor ? conversations.findIndex(({ id }) => id === ids.at(-1)) : -1;
    const rest = end < 0 ? [] : conversations.slice(end + 1).filter(({ id }) => !ids.includes(id));
    store.set({
      conversations: [...first.conversations, ...rest],
      cursor: (rest.length ? cursor : first.cursor) ?? null,
    });
  }

  async function more() {
    const from = store.get().cursor;
    const next = from && (await page({ cursor: from }));
    const { conversations, cursor } = store.get();
    if (!next || cursor !== from) return;
    const known = new Set(conversations.map(({ id }) => id));
    const added = next.conversations.filter(({ id }) => !known.has(id));
    store.set({ conversations: [...conversations, ...added], cursor: next.cursor ?? null });
  }

  function hear(activity) {
    if (activity.state === 'deleted') return notify.deleted(activity.conversation_id);
    const { conversations, lane } = store.get();
    const at = conversations.findIndex(({ id }) => id === activity.conversation_id);
    const ended = ENDED.has(activity.state) && at >= 0 && !ENDED.has(conversations[at].state);
    if (ended && (activity.conversation_id !== lane || document.hidden)) markUnread(activity.conversation_id, true);
    amendFound(activity.conversation_id, (known) => merge(known, activity));
    if (at < 0) return put([merge({}, activity), ...conversations]);
    const changed = merge(conversations[at], activity);
    if (changed.updated_at === conversations[at].updated_at) return put(conversations.with(at, changed));
    put([changed, ...conversations.toSpliced(at, 1)]);
  }

  // The server's own word on one conversation, wherever it is shown.
  function replace(conversation) {
    const { conversations, log } = store.get();
    put(conversations.map((known) => (known.id === conversation.id ? { ...known, ...conversation } : known)));
    amendFound(conversation.id, (known) => ({ ...known, ...conversation }));
    if (log?.id === conversation.id && log.state) store.set({ log: withState(log, { ...log.state, conversation }) });
  }

  function amendFound(id, change) {
    const { search } = store.get();
    if (!search.found) return;
    store.set({ search: { ...search, found: search.found.map((known) => (known.id === id ? change(known) : known)) } });
  }

  function drop(id) {
    const { conversations, search, removed } = store.get();
    const others = (all) => all && all.filter((known) => known.id !== id);
    store.set({ conversations: others(conversations), search: { ...search, found: others(search.found) } });
    markUnread(id, false);
    if (removed?.id === id) forgetRemoval();
  }

  async function tell(event, conversation_id) {
    try {
      await request(link, event, { conversation_id });
      return true;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      if (error.code === 'not_found') return true;
      notify.problem(conversation_id, wordsFor(error));
      return false;
    }
  }

  const clear = (id) => tell('clear_conversation', id);

  function markUnread(id, isUnread) {
    const { unread } = store.get();
    if (unread.includes(id) === isUnread) return;
    const marked = isUnread ? [...unread, id] : unread.filter((known) => known !== id);
    store.set({ unread: marked });
    storage.write(UNREAD, marked);
  }

  // It is gone from sight at once, and in truth when it can no longer be undone.
  function remove({ id, title }) {
    finishRemoval();
    const wasOpen = store.get().lane === id;
    const until = Date.now() + UNDO;
    storage.write(REMOVED + id, { id, until });
    store.set({ removed: { id, title, wasOpen, until } });
    undoTimer = setTimeout(finishRemoval, UNDO);
    if (wasOpen) notify.left();
  }

  function undoRemoval() {
    const { removed } = store.get();
    if (removed) storage.erase(REMOVED + removed.id);
    forgetRemoval();
    return removed;
  }

  function finishRemoval() {
    const { removed } = store.get();
    if (!removed) return;
    drop(removed.id);
    tell('delete_conversation', removed.id).then(() => storage.erase(REMOVED + removed.id));
  }

  function forgetRemoval() {
    clearTimeout(undoTimer);
    store.set({ removed: null });
  }

  // The page is going away.
  function removeNow() {
    const { removed } = store.get();
    if (removed) removeInPassing(removed.id);
  }

  // What a page that went away could not remove. Another tab's removal may still be undone there.
  function removeLeft() {
    for (const { id, until } of storage.readAll(REMOVED)) {
      const wait = until - Date.now();
      if (wait > 0) setTimeout(removeLeft, wait);
      else removeInPassing(id);
    }
  }

  const removeInPassing = (id) =>
    api.deleteInPassing(id).then(
      () => storage.erase(REMOVED + id),
      // Else it is tried again with the next connection.
      (error) => error.code === 'not_found' && storage.erase(REMOVED + id),
    );

  async function search(query) {
    searching.abort();
    searching = new AbortController();
    const { signal } = searching;
    const words = query.trim();
    const before = store.get().search.found;
    store.set({ search: { query, found: words ? before : null } });
    if (!words) return;
    try {
      await sleep(TYPING, signal);
      await link.tried;
      const { conversations } = await api.search(words, signal);
      store.set({ search: { query, found: conversations } });
    } catch (error) {
      if (signal.aborted) return;
      store.set({ search: { query, found: null, failure: wordsFor(error) } });
    }
  }

  function searchAgain() {
    const { query, failure } = store.get().search;
    if (failure) search(query);
  }

  return {
    refresh,
    more,
    hear,
    replace,
    drop,
    clear,
    markUnread,
    remove,
    undoRemoval,
    removeNow,
    removeLeft,
    search,
    searchAgain,
  };
}
