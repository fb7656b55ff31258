// The open conversation's title and menu.

import { setText } from '../lib/dom.js';
import { openConversationMenu } from './conversation-menu.js';

export function createTopbar({ title, menuButton }, actions) {
  let conversation = null;

  menuButton.addEventListener('click', () => openConversationMenu(menuButton, conversation, actions));

  function render(look) {
    conversation = look.conversation;
    const listed = look.conversations.find(({ id }) => id === look.lane);
    const name = conversation?.title || listed?.title || '';
    setText(title, name || 'New chat');
    menuButton.hidden = !conversation;
    const tab = name ? `${name} · Parley` : 'Parley';
    if (document.title !== tab) document.title = tab;
  }

  return { render };
}
