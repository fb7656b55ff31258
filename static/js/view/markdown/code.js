// A block of code: its language, a button that copies it, and colours once it is whole.

import { h, setText } from '../../lib/dom.js';
import { copyButton } from '../copy.js';

// Code that grows is laid out piece by piece: a finished piece is not touched again, however long the whole becomes.
const PIECE = 3000;

const blocks = new WeakMap(); // by their elements

export class CodeBlock {
  #label = h('span', { class: 'code-language' });
  #code = h('code');
  #piece = null;
  #source = '';
  #language = '';
  #isColoured = false;

  constructor() {
    const head = h(
      'div',
      { class: 'code-head' },
      this.#label,
      copyButton('Copy code', () => this.#source),
    );
    const body = h('pre', { tabindex: 0, dir: 'ltr', role: 'region', 'aria-label': 'Code' }, this.#code);
    this.element = h('div', { class: 'code-block' }, head, body);
    blocks.set(this.element, this);
  }

  update(source, language) {
    this.#language = language;
    setText(this.#label, language || 'text');
    if (source === this.#source) return;
    if (this.#isColoured || !source.startsWith(this.#source)) this.#empty();
    this.#append(source.slice(this.#source.length));
    this.#source = source;
  }

  async colour() {
    const source = this.#source;
    if (this.#isColoured || !this.#language) return;
    const { highlighted } = await import('./highlight.js');
    const colours = this.#source === source && !this.#isColoured && highlighted(source, this.#language);
    if (!colours) return;
    this.#empty();
    this.#code.append(colours);
    this.#source = source;
    this.#isColoured = true;
  }

  #empty() {
    this.#code.replaceChildren();
    this.#piece = null;
    this.#source = '';
    this.#isColoured = false;
  }

  // A piece ends with a line.
  #append(text) {
    const room = PIECE - (this.#piece?.data.length ?? 0);
    const end = text.length > room ? text.indexOf('\n', Math.max(0, room)) : -1;
    const part = end < 0 ? text : text.slice(0, end + 1);
    if (this.#piece) {
      this.#piece.appendData(part);
    } else {
      this.#piece = document.createTextNode(part);
      this.#code.append(h('span', { class: 'piece' }, this.#piece));
    }
    if (end < 0) return;
    this.#piece = null;
    if (end + 1 < text.length) this.#append(text.slice(end + 1));
  }
}

// Code inside a list or a quotation: blocks in place of their sources.
export function frameCode(element, open) {
  for (const pre of element.querySelectorAll('pre:not(.code-block > pre)')) {
    const block = new CodeBlock();
    block.update(...contentOf(pre));
    pre.replaceWith(block.element);
  }
  if (open) return;
  for (const framed of element.querySelectorAll('.code-block')) blocks.get(framed).colour();
}

// Whether this node is a block of code, which then shows that source.
export function showsCode(node, pre) {
  const block = pre.nodeName === 'PRE' ? blocks.get(node) : undefined;
  block?.update(...contentOf(pre));
  return block !== undefined;
}

function contentOf(pre) {
  const [, language = ''] = /^language-(.+)$/.exec(pre.querySelector('code')?.className ?? '') ?? [];
  return [pre.textContent.replace(/\n$/, ''), language];
}
