// Shortcuts are found on every keyboard, and leave the browser its own.

import assert from 'node:assert/strict';
import { test } from 'node:test';

globalThis.navigator ??= { platform: '' }; // older versions of Node have none
const { shortcutOf } = await import('../../static/js/view/keyboard.js');

// On every system: control is ⌘ on some.
function pressed(key, code, ...modifiers) {
  const [control, shiftKey, altKey] = ['Ctrl', 'Shift', 'Alt'].map((name) => modifiers.includes(name));
  return shortcutOf({ key, code, ctrlKey: control, metaKey: control, shiftKey, altKey })?.does;
}

const WITH_BOTH = ['Ctrl', 'Shift'];

test('a shortcut is pressed by its sign, wherever it is', () => {
  assert.equal(pressed('/', 'Slash', 'Ctrl'), 'This list'); // US
  assert.equal(pressed('/', 'Digit7', ...WITH_BOTH), 'This list'); // German
  assert.equal(pressed('O', 'KeyO', ...WITH_BOTH), 'New chat');
  assert.equal(pressed('o', 'KeyO', ...WITH_BOTH), 'New chat'); // with caps lock
  assert.equal(pressed('O', 'KeyS', ...WITH_BOTH), 'New chat'); // Dvorak
  assert.equal(pressed(';', 'Comma', ...WITH_BOTH), 'Copy the last code'); // German
  assert.equal(pressed(':', 'Semicolon', ...WITH_BOTH), 'Copy the last code'); // US
});

test('a shortcut is pressed by its place where the keyboard writes something else there', () => {
  assert.equal(pressed('Щ', 'KeyO', ...WITH_BOTH), 'New chat'); // Russian
  assert.equal(pressed('Ж', 'Semicolon', ...WITH_BOTH), 'Copy the last code');
  assert.equal(pressed('Dead', 'Semicolon', ...WITH_BOTH), 'Copy the last code'); // Greek
  assert.equal(pressed('Unidentified', 'KeyC', ...WITH_BOTH), 'Copy the last reply');
  assert.equal(pressed('Escape', 'Escape', 'Shift'), 'To the message box');
});

test('what is another shortcut on another keyboard is left to the browser', () => {
  assert.equal(pressed('-', 'Slash', 'Ctrl'), undefined); // German: smaller
  assert.equal(pressed('z', 'Slash', 'Ctrl'), undefined); // Dvorak: undo
  assert.equal(pressed('R', 'KeyO', ...WITH_BOTH), undefined); // Dvorak: load anew
  assert.equal(pressed('M', 'Semicolon', ...WITH_BOTH), undefined); // French: the browser's profiles
  assert.equal(pressed('ц', 'KeyW', 'Ctrl'), undefined);
  assert.equal(pressed('Escape', 'Escape'), undefined);
  assert.equal(pressed('O', 'KeyO', ...WITH_BOTH, 'Alt'), undefined);
});

test('what an input method has taken is its own', () => {
  assert.equal(pressed('Process', 'KeyO', ...WITH_BOTH), undefined);
  assert.equal(pressed('Process', 'Escape', 'Shift'), undefined);
});
