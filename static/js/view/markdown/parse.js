// Markdown to blocks, and a block to HTML (not yet sanitised). Needs no document.

import { Marked } from '../../../vendor/marked/marked.esm.js';
import remend from '../../../vendor/remend/remend.js';
import { formulas, withoutOpenFormula } from './formulas.js';

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

// A row of cells that may yet turn out to be a table's head: until its rule is whole, it would show as a line of bars.
const HEAD_OF_TABLE = /(?:^|\n) {0,3}\|[^\n]*(?:\n[ |:-]*)?$/;

// [{raw, token}]: white space between blocks belongs to the one before it.
export function blocksOf(text) {
  const tokens = marked.lexer(text);
  const { links } = tokens;
  const blocks = [];
  for (const token of tokens.flatMap(inParts)) {
    if (token.type === 'space' && blocks.length) blocks.at(-1).raw += token.raw;
    else blocks.push({ raw: token.raw, token, links });
  }
  return blocks;
}

// A list can be as long as the whole reply. In parts, only its end is drawn again with every word.
const PART = 12;

function inParts(list) {
  if (list.type !== 'list' || list.items.length <= PART) return [list];
  const parts = [];
  let rest = list.raw;
  for (let at = 0; at < list.items.length; at += PART) {
    const items = list.items.slice(at, at + PART);
    const isLast = at + PART >= list.items.length;
    const raw = isLast ? rest : items.map((item) => item.raw).join('');
    // Nothing of the text may be lost between the parts; should it be, the list stays whole.
    if (!rest.startsWith(raw)) return [list];
    rest = rest.slice(raw.length);
    parts.push({ ...list, items, raw, start: list.ordered ? Number(list.start) + at : '' });
  }
  return parts;
}

// Neighbours of one kind are always parts of one list: markdown would have made one of them.
export function continuesList({ token: before }, { token }) {
  const marker = ({ raw }) => /[-*+]|[.)]/.exec(raw)?.[0];
  return before.type === 'list' && token.type === 'list' && marker(before) === marker(token);
}

export const isCode = ({ token }) => token.type === 'code' && token.codeBlockStyle !== 'indented';

export function isClosedCode({ raw }) {
  const fence = /^ {0,3}(`{3,}|~{3,})/.exec(raw)?.[1];
  const last = raw.trimEnd().split('\n').slice(1).at(-1)?.trim() ?? '';
  return fence !== undefined && last.length >= fence.length && last === fence[0].repeat(last.length);
}

export function htmlOf({ token, links }) {
  return marked.parser(Object.assign([token], { links }));
}

// The HTML of a block that is still being written, as it will look if it ends well.
export function htmlOfOpen({ raw, token }) {
  const shown = token.type === 'paragraph' ? raw.replace(HEAD_OF_TABLE, '') : raw;
  return marked.parse(remend(withoutOpenFormula(shown), { linkMode: 'text-only', images: false, katex: false }));
}

// A link target that is defined below its use changes blocks that seemed finished.
export const hasDefinitions = (text) => /^ {0,3}\[[^\]\n]+\]:/m.test(text);
