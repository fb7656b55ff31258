// Small questions: yes or no, a line or a page of text. The answer is a promise; closing it any other way is a no.

import { h } from '../lib/dom.js';

export async function confirm({ title, text, action }) {
  const answer = await ask(title, h('p', {}, text), h('button', { class: 'button danger', value: 'yes' }, action));
  return answer === 'yes';
}

// Null is a no. `long` asks for several lines, and takes none as well.
export async function promptFor({ title, text, label, value, action, long = false }) {
  const input = long
    ? h('textarea', { class: 'field', rows: 6, dir: 'auto' })
    : h('input', { class: 'field', maxlength: 200, required: true, autocomplete: 'off', dir: 'auto' });
  input.value = value;
  const field = h('label', {}, h('span', { class: 'field-label' }, label), input);
  const content = h('div', { class: 'dialog-content' }, text ? h('p', {}, text) : null, field);
  const answer = ask(title, content, h('button', { class: 'button primary', value: 'yes' }, action));
  input.select();
  const given = (await answer) === 'yes' ? input.value.trim() : null;
  return long ? given : given || null;
}

export function tell(title, content) {
  return ask(title, content, null);
}

function ask(title, content, yes) {
  const heading = h('h2', { id: 'dialog-title' }, title);
  const no = h('button', { type: 'button', class: 'button' }, yes ? 'Cancel' : 'Close');
  const form = h('form', { method: 'dialog' }, heading, content, h('div', { class: 'dialog-buttons' }, no, yes));
  const dialog = h('dialog', { class: 'dialog', 'aria-labelledby': 'dialog-title' }, form);
  no.addEventListener('click', () => dialog.close(''));
  // A click outside the form is a click on the dialog itself. What is typed is not given up by a slip of the hand.
  dialog.addEventListener('click', ({ target }) => {
    if (target === dialog && !form.querySelector('.field')) dialog.close('');
  });
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
}
