// What can be done to a conversation as a whole; the same from the list and from the top of the page.

import { h } from '../lib/dom.js';
import { confirm, promptFor } from './dialog.js';
import { openMenu } from './menu.js';

export function openConversationMenu(button, { id, title }, actions) {
  const rename = () =>
    promptFor({
      title: 'Rename conversation',
      label: 'Title',
      value: title ?? '',
      action: 'Rename',
      draft: `title.${id}`,
      save: (given) => actions.rename(id, given),
    });

  async function clear() {
    const name = title ? `“${title}”` : 'this conversation';
    const text = `All messages in ${name} will be erased. The conversation itself stays.`;
    if (await confirm({ title: 'Clear messages?', text, action: 'Clear' })) actions.clear(id);
  }

  openMenu(button, [
    { label: 'Rename', symbol: 'pen', action: rename },
    { label: 'Export as Markdown', symbol: 'export', action: () => download(actions.exportPath(id, 'md')) },
    { label: 'Export as JSON', symbol: 'export', action: () => download(actions.exportPath(id, 'json')) },
    { label: 'Clear messages', symbol: 'broom', action: clear },
    { label: 'Delete', symbol: 'bin', danger: true, action: () => actions.remove({ id, title }) },
  ]);
}

// The server gives the file its name.
const download = (path) => h('a', { href: path, download: '' }).click();
