// Markdown that grows. Finished blocks are drawn once; of the rest, only what changed.

import { h } from '../../lib/dom.js';
import { CodeBlock, frameCode } from './code.js';
import { grown } from './fence.js';
import { blocksOf, hasDefinitions, htmlOf, htmlOfOpen, isClosedCode, isCode } from './parse.js';
import { goesOn } from './parts.js';
import { patch } from './patch.js';
import { fragmentOf } from './sanitize.js';
import { typeset } from './typeset.js';

// What comes next can still change the last two blocks: a lone "2" after a list is a paragraph until a dot follows.
const UNDECIDED = 2;

// So many blocks are skipped together by the browser once they have scrolled away; watching each would cost as much.
const GROUP = 16;

// So many parts of a table make one; the next begins with its head again. The browser lays out all of a table for a row.
const TABLE = 8;

// What arrives in one gulp is drawn in sips, so that no frame takes long: so many characters, or a part of what is left.
const SIP = 350;
const SHARE = 1 / 3;

export class Prose {
  #blocks = [];
  #text = '';
  #finished = false;
  isBehind = false; // there is more to draw than was drawn

  constructor(element) {
    this.element = element;
  }

  update(source, finished) {
    const text = this.#next(lines(source), finished);
    if (text === this.#text && finished === this.#finished) return;
    if (!text.startsWith(this.#text) || (finished && hasDefinitions(text))) this.#truncate(0);
    const added = text.slice(this.#text.length);
    this.#text = text;
    this.#finished = finished;
    if (!finished && this.#blocks.at(-1)?.grow(added)) return;

    const settled = Math.max(0, this.#blocks.length - UNDECIDED);
    const start = this.#blocks.slice(0, settled).reduce((length, { raw }) => length + raw.length, 0);
    const parsed = blocksOf(text.slice(start), this.#blocks[settled]?.prefix);
    this.#truncate(settled + parsed.length);
    parsed.forEach((block, index) => {
      const open = !finished && index === parsed.length - 1 && !isClosedCode(block);
      const before = this.#blocks[settled + index - 1];
      this.#block(settled + index).update(block, open, before?.goesOnIn(block) ? before : null);
    });
  }

  // As far as is to be drawn now. What is there already when a reply is opened is drawn as a whole.
  #next(text, finished) {
    const drawn = this.#text.length;
    const isWhole = finished || !drawn || !text.startsWith(this.#text);
    const sip = Math.max(SIP, (text.length - drawn) * SHARE);
    const rest = isWhole ? '' : text.slice(drawn + sip);
    const end = rest.search(/\s/); // no word is cut
    this.isBehind = end >= 0 && rest.length - end > SIP / 2;
    return this.isBehind ? text.slice(0, text.length - rest.length + end) : text;
  }

  #block(index) {
    if (index === this.#blocks.length) {
      const added = new Block();
      if (index % GROUP === 0) this.element.append(h('div', { class: 'group' }));
      this.#blocks.push(added);
      this.element.lastElementChild.append(added.element);
    }
    return this.#blocks[index];
  }

  #truncate(length) {
    for (const surplus of this.#blocks.splice(length)) surplus.remove();
    while (this.element.lastElementChild?.childElementCount === 0) this.element.lastElementChild.remove();
  }
}

// As the parser counts: otherwise what is left of the text would be looked for in the wrong place.
const lines = (source) => source.replace(/\r\n?/g, '\n');

class Block {
  element = h('div', { class: 'block', dir: 'auto' });
  raw = '';
  #block = null;
  #open = null;
  #code = null;
  #table = null; // that it is, or that it is the rest of
  #part = 1; // of it
  #rows = [];

  // `before` is the block that this one is the rest of, if any.
  update(block, open, before = null) {
    if (block.raw === this.raw && open === this.#open) return;
    this.raw = block.raw;
    this.#block = block;
    this.#open = open;
    this.element.dataset.type = block.token.type;
    this.element.classList.toggle('rest', before !== null);
    if (isCode(block)) this.#drawCode(block.token, open);
    else this.#drawMarkup(block, open, before);
  }

  remove() {
    this.element.remove();
    this.#rows.forEach((rows) => rows.remove());
  }

  get prefix() {
    return this.#block.prefix;
  }

  goesOnIn = (block) => goesOn(this.#block, block);

  // Whether it is code that goes on.
  grow(added) {
    const block = this.#code && this.#open ? grown(this.#block, added) : null;
    if (block) this.update(block, true);
    return block !== null;
  }

  #drawCode({ text, lang }, open) {
    if (!this.#code) {
      this.#code = new CodeBlock();
      this.element.replaceChildren(this.#code.element);
    }
    this.#code.update(text, languageIn(lang));
    if (!open) this.#code.colour();
  }

  #drawMarkup(block, open, before) {
    this.#code = null;
    const fragment = fragmentOf(open ? htmlOfOpen(block) : htmlOf(block));
    this.#rows.forEach((rows) => rows.remove());
    this.#rows = [];
    this.#part = before?.#table && before.#part < TABLE ? before.#part + 1 : 1;
    if (this.#part > 1) return this.#drawRows(fragment, before.#table);
    for (const table of fragment.querySelectorAll('table')) {
      const frame = h('div', { class: 'table-scroll', tabindex: 0, role: 'region', 'aria-label': 'Table' });
      table.replaceWith(frame);
      frame.append(table);
    }
    patch(this.element, fragment);
    frameCode(this.element, open);
    typeset(this.element.querySelectorAll('code.math'));
    this.#table = this.element.querySelector(':scope > .table-scroll > table');
  }

  // The rest of a table stands in the table, so that its columns are the same.
  #drawRows(fragment, table) {
    this.#table = table;
    this.element.replaceChildren();
    this.#rows = [...fragment.querySelectorAll('tbody')];
    for (const rows of this.#rows) typeset(rows.querySelectorAll('code.math'));
    this.#table.append(...this.#rows);
  }
}

const languageIn = (info) => (info ?? '').trim().split(/\s/)[0];
