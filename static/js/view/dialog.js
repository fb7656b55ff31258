// Small questions: yes or no, a line or a page of text. Closing one any other way than by its answer is a no.

import { h } from '../lib/dom.js';
import * as storage from '../lib/storage.js';

export async function confirm({ title, text, action }) {
  const answer = await ask(title, h('p', {}, text), h('button', { class: 'button danger', value: 'yes' }, action));
  return answer === 'yes';
}

// `save` is given what was typed, and says whether it is saved. Until then it is kept in the browser as `draft`, and is
// there again when the question is asked again. `long` asks for several lines, and takes none as well.
export async function promptFor({ title, text, label, value, action, draft, save, long = false }) {
  const input = long
    ? h('textarea', { class: 'field', rows: 6, dir: 'auto' })
    : h('input', { class: 'field', maxlength: 200, required: true, autocomplete: 'off', dir: 'auto' });
  input.value = storage.read(draft) ?? value;
  input.addEventListener('input', () => (input.value === value ? storage.erase : storage.write)(draft, input.value));
  const discard = () => {
    storage.erase(draft);
    input.value = value;
    unsaved.hidden = true;
    input.focus();
  };
  const unsaved = h(
    'p',
    { class: 'unsaved', hidden: input.value === value },
    'This has not been saved yet.',
    h('button', { type: 'button', class: 'button small', onclick: discard }, 'Discard'),
  );
  const field = h('label', {}, h('span', { class: 'field-label' }, label), input);
  const content = h('div', { class: 'dialog-content' }, text ? h('p', {}, text) : null, field, unsaved);
  const answer = ask(title, content, h('button', { class: 'button primary', value: 'yes' }, action));
  input.focus();
  // A title is often given anew; what was thought out is only added to.
  if (!long && unsaved.hidden) input.select();
  if ((await answer) !== 'yes') return;
  const given = input.value.trim();
  if (given !== value && !((long || given) && (await save(given)))) return;
  // What has been typed meanwhile, the question having been asked again, is not saved by this.
  if (storage.read(draft) === input.value) storage.erase(draft);
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
