// What is typed and not sent, for each conversation; all new chats share one. A message that is being written anew has
// its own, so that what was begun below it is kept. Each tab has its own words; a new one begins with what was written
// last in any.

import { isNew, newLane } from '../model/lanes.js';
import * as storage from '../lib/storage.js';

const DRAFT = 'draft.';
const EDITING = 'editing.';

const nameOf = (lane) => (isNew(lane) ? 'new' : lane);

export function createDrafts({ store }) {
  const found = new Map(); // what was there when it was first looked for

  function at(key) {
    if (!found.has(key)) found.set(key, storage.tab.read(key) ?? storage.read(key) ?? '');
    return store.get().drafts[key] ?? found.get(key);
  }

  // In the storage that tabs share is what was written last in any: this tab takes out of it only its own words.
  function put(key, text) {
    const isOwn = [null, at(key)].includes(storage.read(key));
    if (text) storage.write(key, text);
    else if (isOwn) storage.erase(key);
    if (text || !isOwn) storage.tab.write(key, text);
    else storage.tab.erase(key);
    store.set({ drafts: { ...store.get().drafts, [key]: text } });
  }

  const editing = (lane) => (lane === null || isNew(lane) ? null : at(EDITING + lane) || null);

  function keyOf(lane) {
    const message_id = editing(lane);
    return message_id === null ? DRAFT + nameOf(lane) : `${DRAFT}edit.${message_id}`;
  }

  const of = (lane) => at(keyOf(lane));

  const set = (lane, text) => put(keyOf(lane), text);

  // A refused message comes back in front of what has been typed since.
  function giveBack(lane, text) {
    const key = DRAFT + nameOf(lane);
    put(key, [text, at(key)].filter(Boolean).join('\n\n'));
  }

  function edit(lane, message_id, text) {
    put(EDITING + lane, message_id);
    if (!of(lane)) set(lane, text);
  }

  // What was changed by then is there again when the same message is edited again.
  function stopEditing(lane, original) {
    if (editing(lane) === null) return;
    if (of(lane) === original) set(lane, '');
    put(EDITING + lane, '');
  }

  // A conversation that somebody writes in is gone: what they wrote is not.
  function inherit(lane) {
    const own = DRAFT + lane;
    const texts = [of(lane), at(own)];
    set(lane, '');
    stopEditing(lane);
    put(own, '');
    giveBack(newLane(''), [...new Set(texts)].filter(Boolean).join('\n\n'));
  }

  // All that is typed anywhere moves to new chats' draft: the conversations it was meant for are out of reach.
  function gather(texts) {
    const all = (start) => [...new Set([...storage.tab.keys(start), ...storage.keys(start)])];
    const keys = all(DRAFT);
    const left = [...keys.map(at), ...texts].filter(Boolean);
    [...keys, ...all(EDITING)].forEach((key) => put(key, ''));
    put(`${DRAFT}new`, left.join('\n\n'));
  }

  return { of, set, giveBack, editing, edit, stopEditing, inherit, gather };
}
