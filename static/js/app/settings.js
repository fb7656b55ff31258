// Memory and model: of the open conversation, where a change is told to the server at once, or of the next new chat.

import * as api from '../net/api.js';
import { Refused, request } from '../net/request.js';
import { wordsFor } from '../model/words.js';
import { isNew } from '../model/lanes.js';
import * as storage from '../lib/storage.js';

const KEPT = 'new-chat';

export function createSettings({ store, link, list, notify }) {
  const running = new Map(); // the last change under way, by conversation

  store.set({ newChat: { ...store.get().newChat, ...storage.read(KEPT) } });

  // A choice that was not made is not sent: the server's default may change.
  const forNewChat = () =>
    Object.fromEntries(Object.entries(store.get().newChat).filter(([, value]) => value !== null));

  function choose(lane, choice) {
    if (!isNew(lane)) return configure(lane, choice);
    const newChat = { ...store.get().newChat, ...choice };
    store.set({ newChat });
    storage.write(KEPT, newChat);
  }

  function configure(id, choice) {
    show(id, { ...store.get().choices[id], ...choice });
    const turn = settled(id).then(() => tell(id, choice));
    running.set(id, turn);
    turn.then(() => {
      if (running.get(id) !== turn) return;
      running.delete(id);
      show(id, undefined);
    });
    return turn;
  }

  const show = (id, choice) => store.set({ choices: { ...store.get().choices, [id]: choice } });

  async function tell(id, choice) {
    try {
      const { conversation } = await request(link, 'configure_conversation', { conversation_id: id, ...choice });
      list.replace(conversation);
      return true;
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      notify.problem(id, wordsFor(error));
      return false;
    }
  }

  const settled = (lane) => running.get(lane) ?? Promise.resolve();

  async function loadCatalogue() {
    if (store.get().catalogue) return;
    try {
      store.set({ catalogue: await api.models() });
    } catch {
      // Asked for again with the next connection; until then the server's default answers.
    }
  }

  // Instructions for the model are kept by a conversation: a chat that has none yet becomes one. Gives whether they are.
  async function instruct(lane, system_prompt) {
    if (!isNew(lane)) return configure(lane, { system_prompt: system_prompt || null });
    try {
      await link.tried;
      if (system_prompt) notify.made(lane, await api.createConversation({ ...forNewChat(), system_prompt }));
      return true;
    } catch (error) {
      notify.problem(lane, wordsFor(error));
      return false;
    }
  }

  async function loadSession() {
    try {
      await link.tried;
      store.set({ session: await api.session() });
    } catch {
      store.set({ session: null });
    }
  }

  return { choose, instruct, forNewChat, settled, loadCatalogue, loadSession };
}
