// Tells a screen reader when a reply is complete; never while it is being written.

import { h } from '../lib/dom.js';

const WORDS = { done: 'Reply finished.', stopped: 'Reply stopped.', failed: 'The reply failed.' };

export function createAnnouncer(element) {
  let before = null;

  function render({ log }) {
    if (log?.id === before?.id) {
      const awaited = before?.state?.turns ?? [];
      const ended = awaited.find(({ turn_id }) => log?.state?.messages.some((message) => isReply(message, turn_id)));
      const reply = ended && log.state.messages.findLast((message) => isReply(message, ended.turn_id));
      if (reply) announce(reply);
    }
    before = log;
  }

  function announce({ status, error }) {
    // A new element is announced also when it says the same as the one before.
    element.replaceChildren(h('p', {}, [WORDS[status], error?.message].filter(Boolean).join(' ')));
  }

  return { render };
}

const isReply = (message, turn_id) => message.role === 'assistant' && message.turn_id === turn_id;
