// Markdown to blocks, and a block to HTML (not yet sanitised). Needs no document.

import { Lexer, Marked, Tokenizer } from '../../../vendor/marked/marked.esm.js';
import remend from '../../../vendor/remend/remend.js';
import { formulas, withoutOpenFormula } from './formulas.js';
import { inParts } from './parts.js';

const escape = (text) => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

const COMMENT = /<!--[^]*?(?:-->|$)/g;
const BARE_TAG =
  /(<\/?(?:b|br|dd|del|details|div|dl|dt|em|i|ins|kbd|mark|p|q|s|small|strong|sub|summary|sup|u)\s*\/?>)/i;

// HTML among the markdown: bare tags for writing are let through; anything with attributes is shown as it was written.
function plainHtml(text) {
  const parts = text.replace(COMMENT, '').split(BARE_TAG);
  return parts.map((part, index) => (index % 2 ? part : part.replace(/</g, '&lt;'))).join('');
}

const marked = new Marked({
  gfm: true,
  breaks: true,
  extensions: formulas(escape),
  renderer: {
    // Nothing is fetched because a model named it: a picture becomes a link that the reader may follow.
    image: ({ href, text }) => `<a href="${escape(href)}">${escape(text || href)}</a>`,
    html: ({ text }) => plainHtml(text),
    checkbox: ({ checked }) => `<span class="task">${checked ? '☑' : '☐'}</span> `,
  },
});

// A model that falls into a loop writes a thousand `>` in a row. Deeper than people can follow, they are text.
const DEPTH = 16;

class Shallow extends Tokenizer {
  #depth = 0;

  blockquote = (source) => this.#inside(super.blockquote, source);

  list = (source) => this.#inside(super.list, source);

  #inside(tokenize, source) {
    if (this.#depth === DEPTH) return undefined;
    this.#depth += 1;
    try {
      return tokenize.call(this, source);
    } finally {
      this.#depth -= 1;
    }
  }
}

marked.setOptions({ tokenizer: new Shallow() });

// A row of cells that may yet turn out to be a table's head: until its rule is whole, it would show as a line of bars.
const HEAD_OF_TABLE = /(?:^|\n) {0,3}\|[^\n]*(?:\n[ |:-]*)?$/;

// [{raw, token, links, prefix}]: white space between blocks belongs to the one before it. What is inside of them is read
// when they are drawn. `prefix` stood before the text, and is none of it.
export function blocksOf(text, prefix = '') {
  const lexer = new Lexer(marked.defaults);
  const { links } = lexer.tokens;
  const blocks = [];
  for (const token of lexer.blockTokens(prefix + text, lexer.tokens).flatMap(inParts)) {
    if (token.type === 'space' && blocks.length) blocks.at(-1).raw += token.raw;
    else blocks.push({ raw: token.raw, token, links, prefix: token.prefix });
  }
  if (prefix && blocks.length) Object.assign(blocks[0], { raw: blocks[0].raw.slice(prefix.length), prefix });
  return blocks;
}

export const isCode = ({ token }) => token.type === 'code' && token.codeBlockStyle !== 'indented';

export function isClosedCode({ raw }) {
  const fence = /^ {0,3}(`{3,}|~{3,})/.exec(raw)?.[1];
  const last = raw.trimEnd().split('\n').slice(1).at(-1)?.trim() ?? '';
  return fence !== undefined && last.length >= fence.length && last === fence[0].repeat(last.length);
}

export function htmlOf({ raw, links, prefix = '' }) {
  const lexer = new Lexer(marked.defaults);
  lexer.tokens.links = links;
  return orPlain(raw, () => marked.parser(lexer.lex(prefix + raw)));
}

// The HTML of a block that is still being written, as it will look if it ends well.
export function htmlOfOpen({ raw, token, prefix = '' }) {
  const shown = token.type === 'paragraph' ? raw.replace(HEAD_OF_TABLE, '') : prefix + raw;
  const options = { linkMode: 'text-only', images: false, katex: false };
  return orPlain(shown, () => marked.parse(remend(withoutOpenFormula(shown), options)));
}

// What the parser cannot cope with is shown as it was written.
function orPlain(text, html) {
  try {
    return html();
  } catch {
    return `<p>${escape(text)}</p>`;
  }
}

// A link target that is defined below its use changes blocks that seemed finished.
export const hasDefinitions = (text) => /^ {0,3}\[[^\]\n]+\]:/m.test(text);
