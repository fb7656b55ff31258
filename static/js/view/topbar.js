// The open conversation's title, its instructions and its menu.

import { setText } from '../lib/dom.js';
import { openConversationMenu } from './conversation-menu.js';
import { promptFor } from './dialog.js';

export function createTopbar({ title, menuButton, instructButton }, actions) {
  let conversation = null;
  let lane = null;
  let isNewChat = true;
  let name = '';

  menuButton.addEventListener('click', () => openConversationMenu(menuButton, { ...conversation, title: name }, actions));
  instructButton.addEventListener('click', instruct);

  function instruct() {
    if (instructButton.getAttribute('aria-disabled') === 'true') return;
    const where = lane;
    promptFor({
      title: 'Instructions',
      text: 'Sent to the model before everything else in this conversation. Empty: the usual ones.',
      label: 'How should it answer?',
      value: conversation?.system_prompt ?? '',
      action: 'Save',
      // With a session's end, it is gathered like all that was typed.
      draft: `draft.instructions.${isNewChat ? 'new' : where}`,
      save: (given) => actions.instruct(where, given),
      long: true,
    });
  }

  function render(look) {
    ({ conversation, lane, isNewChat } = look);
    const listed = look.conversations.find(({ id }) => id === look.lane);
    name = conversation?.title || listed?.title || '';
    setText(title, name || (look.missing ? 'Not found' : 'New chat'));
    menuButton.hidden = !conversation;
    instructButton.hidden = look.missing;
    // Those of a conversation are not known before it is open; a new chat becomes one with its first message.
    const isEarly = isNewChat ? look.outbox.some((entry) => entry.lane === lane) : !conversation;
    instructButton.setAttribute('aria-disabled', String(isEarly));
    instructButton.classList.toggle('unknown', isEarly);
    instructButton.classList.toggle('in-use', Boolean(conversation?.system_prompt));
    const tab = name ? `${name} · Parley` : 'Parley';
    if (document.title !== tab) document.title = tab;
  }

  return { render };
}
