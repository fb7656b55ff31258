// A block of code: its language, a button that copies it, and colours once it is whole.

import { h, setText } from '../../lib/dom.js';
import { copyButton } from '../copy.js';
import { fragmentOf } from './sanitize.js';

export class CodeBlock {
  #text = document.createTextNode('');
  #label = h('span', { class: 'code-language' });
  #code = h('code', {}, this.#text);
  #language = '';

  constructor() {
    const head = h(
      'div',
      { class: 'code-head' },
      this.#label,
      copyButton('Copy code', () => this.#text.data),
    );
    const body = h('pre', { tabindex: 0, dir: 'ltr', role: 'region', 'aria-label': 'Code' }, this.#code);
    this.element = h('div', { class: 'code-block' }, head, body);
  }

  update(text, language) {
    this.#language = language;
    setText(this.#label, language || 'text');
    const known = this.#text.data;
    if (text === known) return;
    // Code mostly grows at its end: then only that is added, however long it is by now.
    if (text.startsWith(known)) this.#text.appendData(text.slice(known.length));
    else this.#text.data = text;
    if (!this.#text.parentNode) this.#code.replaceChildren(this.#text);
  }

  async colour() {
    const text = this.#text.data;
    const { highlighted } = await import('./highlight.js');
    const html = highlighted(text, this.#language);
    if (html !== null && this.#text.data === text) this.#code.replaceChildren(fragmentOf(html));
  }
}
