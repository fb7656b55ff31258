// What concerns no single conversation: bringing one in, what was used, how the keyboard works.

import { h } from '../lib/dom.js';
import { usageWords } from '../model/facts.js';
import { tell } from './dialog.js';
import { showHelp } from './keyboard.js';
import { openMenu } from './menu.js';

export function bindMoreMenu(button, actions, look) {
  button.addEventListener('click', () =>
    openMenu(button, [
      { label: 'Import a conversation', symbol: 'import', action: choose },
      { label: 'Usage', symbol: 'meter', action: showUsage },
      { label: 'Keyboard shortcuts', symbol: 'keys', action: showHelp },
    ]),
  );

  function choose() {
    const field = h('input', { type: 'file', accept: '.json,application/json' });
    field.addEventListener('change', () => field.files[0] && actions.importFrom(field.files[0]));
    field.click();
  }

  async function showUsage() {
    await actions.loadSession();
    const { session, conversation } = look();
    const part = (name, usage) => h('div', {}, h('dt', {}, name), h('dd', {}, usageWords(usage)));
    const parts = [conversation && part('This conversation', conversation.usage), part('All of them', session?.usage)];
    tell('Usage', h('dl', { class: 'usage' }, ...parts));
  }
}
