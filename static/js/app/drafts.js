// What is typed and not sent, for each conversation; all new chats share one. A message that is being written anew has
// its own, so that what was begun below it is kept.

import { isNew, newLane } from '../model/lanes.js';
import * as storage from '../lib/storage.js';

const DRAFT = 'draft.';
const EDITING = 'editing.';

const nameOf = (lane) => (isNew(lane) ? 'new' : lane);

export function createDrafts({ store }) {
  function editing(lane) {
    if (lane === null || isNew(lane)) return null;
    const known = store.get().editing[lane];
    return known === undefined ? storage.read(EDITING + lane) : known;
  }

  function keyOf(lane) {
    const message_id = editing(lane);
    return message_id === null ? DRAFT + nameOf(lane) : `${DRAFT}edit.${message_id}`;
  }

  const at = (key) => store.get().drafts[key] ?? storage.read(key) ?? '';

  function put(key, text) {
    if (text) storage.write(key, text);
    else storage.erase(key);
    store.set({ drafts: { ...store.get().drafts, [key]: text } });
  }

  const of = (lane) => at(keyOf(lane));

  const set = (lane, text) => put(keyOf(lane), text);

  // A refused message comes back in front of what has been typed since.
  function giveBack(lane, text) {
    const key = DRAFT + nameOf(lane);
    put(key, [text, at(key)].filter(Boolean).join('\n\n'));
  }

  function edit(lane, message_id, text) {
    mark(lane, message_id);
    if (!of(lane)) set(lane, text);
  }

  function stopEditing(lane) {
    if (editing(lane) === null) return;
    set(lane, '');
    mark(lane, null);
  }

  function mark(lane, message_id) {
    if (message_id === null) storage.erase(EDITING + lane);
    else storage.write(EDITING + lane, message_id);
    store.set({ editing: { ...store.get().editing, [lane]: message_id } });
  }

  // A conversation that somebody writes in is gone: what they wrote is not.
  function inherit(lane) {
    const own = DRAFT + lane;
    const texts = [of(lane), at(own)];
    stopEditing(lane);
    put(own, '');
    giveBack(newLane(''), [...new Set(texts)].filter(Boolean).join('\n\n'));
  }

  // All that is typed anywhere moves to new chats' draft: the conversations it was meant for are out of reach.
  function gather(texts) {
    const keys = storage.keys(DRAFT);
    const found = [...keys.map(at), ...texts].filter(Boolean);
    keys.forEach((key) => put(key, ''));
    storage.keys(EDITING).forEach(storage.erase);
    store.set({ editing: {} });
    put(`${DRAFT}new`, found.join('\n\n'));
  }

  return { of, set, giveBack, editing, edit, stopEditing, inherit, gather };
}
