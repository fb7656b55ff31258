// What was deleted can be had back for a moment.

import { setText } from '../lib/dom.js';

export function createUndo({ toast, text, button }, actions) {
  let shown = null;

  button.addEventListener('click', actions.undoRemoval);

  function render({ removed }) {
    if (removed === shown) return;
    shown = removed;
    toast.hidden = !removed;
    if (removed) setText(text, removed.title ? `Deleted “${removed.title}”` : 'Conversation deleted');
  }

  return { render };
}
