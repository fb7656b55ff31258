// The session's conversations: the list beside the chat, kept live by `activity`.

import { Refused, request } from '../net/request.js';
import { withState } from '../model/log.js';
import { wordsFor } from '../model/words.js';

const PAGE = 50;

export function createList({ store, link, notify }) {
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
    if (first) store.set({ conversations: first.conversations, cursor: first.cursor ?? null });
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
    const { conversations } = store.get();
    const at = conversations.findIndex(({ id }) => id === activity.conversation_id);
    if (at < 0) return put([merge({}, activity), ...conversations]);
    const changed = merge(conversations[at], activity);
    if (changed.updated_at === conversations[at].updated_at) return put(conversations.with(at, changed));
    put([changed, ...conversations.toSpliced(at, 1)]);
  }

  // The server's own word on one conversation, wherever it is shown.
  function replace(conversation) {
    const { conversations, log } = store.get();
    put(conversations.map((known) => (known.id === conversation.id ? { ...known, ...conversation } : known)));
    if (log?.id === conversation.id && log.state) store.set({ log: withState(log, { ...log.state, conversation }) });
  }

  const drop = (id) => put(store.get().conversations.filter((known) => known.id !== id));

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

  async function remove(id) {
    if (await tell('delete_conversation', id)) notify.deleted(id);
  }

  return { refresh, more, hear, replace, drop, clear, remove };
}
