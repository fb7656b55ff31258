// Small questions: yes or no, or a line of text. The answer is a promise; closing it any other way is a no.

import { h } from '../lib/dom.js';

export async function confirm({ title, text, action }) {
  const answer = await ask(title, h('p', {}, text), h('button', { class: 'button danger', value: 'yes' }, action));
  return answer === 'yes';
}

export async function promptFor({ title, label, value, action }) {
  const input = h('input', { class: 'field', maxlength: 200, required: true, autocomplete: 'off' });
  input.value = value;
  const field = h('label', {}, h('span', { class: 'field-label' }, label), input);
  const answer = ask(title, field, h('button', { class: 'button primary', value: 'yes' }, action));
  input.select();
  return (await answer) === 'yes' ? input.value.trim() || null : null;
}

function ask(title, content, yes) {
  const heading = h('h2', { id: 'dialog-title' }, title);
  const no = h('button', { type: 'button', class: 'button' }, 'Cancel');
  const form = h('form', { method: 'dialog' }, heading, content, h('div', { class: 'dialog-buttons' }, no, yes));
  const dialog = h('dialog', { class: 'dialog', 'aria-labelledby': 'dialog-title' }, form);
  no.addEventListener('click', () => dialog.close(''));
  // A click outside the form is a click on the dialog itself.
  dialog.addEventListener('click', ({ target }) => target === dialog && dialog.close(''));
  document.body.append(dialog);
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener('close', () => {
      dialog.remove();
      resolve(dialog.returnValue);
    });
  });
}
