// What is typed and not sent, for each conversation; all new chats share one.

import { isNew } from '../model/lanes.js';
import * as storage from '../lib/storage.js';

const keyOf = (lane) => `draft.${isNew(lane) ? 'new' : lane}`;

export function createDrafts({ store }) {
  const of = (lane) => {
    const key = keyOf(lane);
    return store.get().drafts[key] ?? storage.read(key) ?? '';
  };

  function set(lane, text) {
    const key = keyOf(lane);
    if (text) storage.write(key, text);
    else storage.erase(key);
    store.set({ drafts: { ...store.get().drafts, [key]: text } });
  }

  // A refused message comes back in front of what has been typed since.
  const giveBack = (lane, text) => set(lane, [text, of(lane)].filter(Boolean).join('\n\n'));

  return { of, set, giveBack };
}
