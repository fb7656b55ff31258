// What a model thought before it answered: folded, and as plain text.

import { h, setText } from '../lib/dom.js';

export class Reasoning {
  #title = h('span');
  #text = document.createTextNode('');
  element;

  constructor() {
    const summary = h('summary', {}, h('span', { class: 'pulse', 'aria-hidden': 'true' }), this.#title);
    this.element = h('details', { class: 'reasoning', hidden: true }, summary, h('div', { dir: 'auto' }, this.#text));
  }

  update(text, thinking) {
    this.element.hidden = !text;
    this.element.classList.toggle('thinking', thinking);
    setText(this.#title, thinking ? 'Thinking' : 'Thoughts');
    const known = this.#text.data;
    if (text.startsWith(known)) this.#text.appendData(text.slice(known.length));
    else this.#text.data = text;
  }
}
