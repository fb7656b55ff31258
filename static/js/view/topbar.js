// The open conversation's title, its instructions and its menu.

import { setText } from '../lib/dom.js';
import { openConversationMenu } from './conversation-menu.js';
import { promptFor } from './dialog.js';

export function createTopbar({ title, menuButton, instructButton }, actions) {
  let conversation = null;
  let lane = null;
  let name = '';
  const unsaved = new Map(); // instructions that were refused, by lane

  menuButton.addEventListener('click', () => openConversationMenu(menuButton, { ...conversation, title: name }, actions));
  instructButton.addEventListener('click', instruct);

  async function instruct() {
    const [where, before] = [lane, conversation?.system_prompt ?? ''];
    const given = await promptFor({
      title: 'Instructions',
      text: 'Sent to the model before everything else in this conversation. Empty: the usual ones.',
      label: 'How should it answer?',
      value: unsaved.get(where) ?? before,
      action: 'Save',
      long: true,
    });
    if (given === null) return;
    if (given === before || (await actions.instruct(where, given))) unsaved.delete(where);
    else unsaved.set(where, given);
  }

  function render(look) {
    ({ conversation, lane } = look);
    const listed = look.conversations.find(({ id }) => id === look.lane);
    name = conversation?.title || listed?.title || '';
    setText(title, name || (look.missing ? 'Not found' : 'New chat'));
    menuButton.hidden = !conversation;
    instructButton.hidden = look.missing;
    instructButton.classList.toggle('in-use', Boolean(conversation?.system_prompt));
    const tab = name ? `${name} · Parley` : 'Parley';
    if (document.title !== tab) document.title = tab;
  }

  return { render };
}
