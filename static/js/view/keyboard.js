// Shortcuts, the ones people know from other chat pages, and the page that lists them.

import { h } from '../lib/dom.js';
import { tell } from './dialog.js';

const SHORTCUTS = [
  {
    keys: 'Ctrl Shift O',
    does: 'New chat',
    code: 'KeyO',
    act: ({ actions, input }) => {
      actions.startNew();
      input.focus();
    },
  },
  { keys: 'Shift Esc', does: 'To the message box', code: 'Escape', act: ({ input }) => input.focus() },
  { keys: 'Ctrl Shift C', does: 'Copy the last reply', code: 'KeyC', act: () => press('.reply .row-foot .copy') },
  {
    keys: 'Ctrl Shift ;',
    does: 'Copy the last code',
    code: 'Semicolon',
    shifted: ':',
    act: () => press('.code-block .copy'),
  },
  { keys: 'Ctrl Shift S', does: 'Show or hide the list', code: 'KeyS', act: ({ toggleSidebar }) => toggleSidebar() },
  { keys: 'Ctrl /', does: 'This list', code: 'Slash', act: showHelp },
];

// What the boxes and buttons do by themselves.
const OTHERS = [
  { keys: 'Enter', does: 'Send' },
  { keys: 'Shift Enter', does: 'New line' },
  { keys: '↑', does: 'In an empty box: edit your last message' },
  { keys: 'Esc', does: 'Stop the reply, or stop editing' },
];

// One sign, of those that all keyboards have in common.
const IS_COMMON = /^[!-~]$/;

const IS_APPLE = /Mac|iPhone|iPad/.test(navigator.platform);

export function bindKeyboard(parts) {
  addEventListener('keydown', (event) => {
    const shortcut = shortcutOf(event);
    if (!shortcut || document.querySelector('dialog[open]')) return;
    event.preventDefault();
    shortcut.act(parts);
  });
}

export const shortcutOf = (event) => SHORTCUTS.find((one) => isPressed(one, event));

// By its sign. By the key's place only where the keyboard writes none of the common signs there: another shortcut, the
// browser's own perhaps, may be where this one is on other keyboards. What an input method has taken is its own.
function isPressed({ keys, code, shifted }, { ctrlKey, metaKey, shiftKey, altKey, key, code: pressed }) {
  const control = IS_APPLE ? metaKey : ctrlKey;
  const sign = keys.split(' ').at(-1).toLowerCase();
  const modifiers = control === keys.includes('Ctrl') && (shiftKey === keys.includes('Shift') || sign === '/');
  const isThere = pressed === code && key !== 'Process' && (key === shifted || !IS_COMMON.test(key));
  return modifiers && !altKey && (key.toLowerCase() === sign || isThere);
}

// The last one that can be seen: a reply that is not finished has buttons too.
const press = (selector) => [...document.querySelectorAll(selector)].findLast((one) => one.checkVisibility())?.click();

export function showHelp() {
  const rows = [...SHORTCUTS, ...OTHERS].map(({ keys, does }) =>
    h('div', {}, h('dt', {}, does), h('dd', {}, ...keys.split(' ').map((key) => h('kbd', {}, nameOf(key))))),
  );
  tell('Keyboard shortcuts', h('dl', { class: 'shortcuts' }, ...rows));
}

const nameOf = (key) => (IS_APPLE && key === 'Ctrl' ? '⌘' : key);
