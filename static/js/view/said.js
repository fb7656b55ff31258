// What the person said: exactly as typed. Also while it is still on its way.

import { button, h, setText } from '../lib/dom.js';
import { copyButton } from './copy.js';
import { Countdown } from './countdown.js';
import { wayOf } from './stage.js';
import { Versions } from './versions.js';

export class Said {
  #bubble = h('div', { class: 'bubble', dir: 'auto' });
  #noteText = h('span');
  #countdown = new Countdown(this.#noteText);
  #takeBack;
  #note;
  #versions;
  #foot;
  #message = null;
  #entry = null;
  element = h('div', { class: 'row said', role: 'listitem' });

  constructor(actions) {
    this.#takeBack = h(
      'button',
      { type: 'button', class: 'button small', onclick: () => actions.takeBack(this.#entry.client_id) },
      'Take back',
    );
    this.#note = h('p', { class: 'row-note' }, this.#noteText, this.#takeBack);
    this.#versions = new Versions(actions);
    this.#foot = h(
      'div',
      { class: 'row-foot' },
      this.#versions.element,
      copyButton('Copy message', () => this.#message.text),
      button('pen', 'Edit and send again', () => actions.edit(this.#message)),
    );
    this.element.append(h('h2', { class: 'visually-hidden' }, 'You said'), this.#bubble, this.#note, this.#foot);
  }

  update({ kind, message = null, entry = null, editing = false, connection, behind }) {
    this.#message = message;
    this.#entry = entry;
    setText(this.#bubble, (message ?? entry).text);
    this.element.classList.toggle('sending', kind === 'sending');
    this.element.classList.toggle('editing', editing);
    this.#foot.hidden = kind === 'sending';
    this.#versions.update(message);
    this.#showNote(entry, connection, behind);
  }

  #showNote(entry, connection, behind) {
    this.#note.hidden = !entry || entry.message_id !== null;
    if (this.#note.hidden) return this.#countdown.stop();
    const { words, until, revocable } = wayOf(entry, connection, behind, 'Sending…');
    this.#takeBack.hidden = !revocable;
    this.#countdown.show(words, until);
  }
}
