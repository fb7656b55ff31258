// What can be done to a conversation as a whole; the same from the list and from the top of the page.

import { confirm, promptFor } from './dialog.js';
import { openMenu } from './menu.js';

export function openConversationMenu(button, { id, title }, actions) {
  const name = title ? `“${title}”` : 'This conversation';

  async function rename() {
    const given = await promptFor({
      title: 'Rename conversation',
      label: 'Title',
      value: title ?? '',
      action: 'Rename',
    });
    if (given) actions.rename(id, given);
  }

  async function clear() {
    const text = `All messages in ${name} will be erased. The conversation itself stays.`;
    if (await confirm({ title: 'Clear messages?', text, action: 'Clear' })) actions.clear(id);
  }

  async function remove() {
    const text = `${name} and all of its messages will be deleted for good.`;
    if (await confirm({ title: 'Delete conversation?', text, action: 'Delete' })) actions.remove(id);
  }

  openMenu(button, [
    { label: 'Rename', symbol: 'pen', action: rename },
    { label: 'Clear messages', symbol: 'broom', action: clear },
    { label: 'Delete', symbol: 'bin', danger: true, action: remove },
  ]);
}
