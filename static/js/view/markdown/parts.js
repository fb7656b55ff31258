// A block can be as long as the whole reply. It is cut into parts, so that only its end is drawn again with every word.
// Where the cuts are follows from what stands before them: they stay where they are while the text grows.

import remend from '../../../vendor/remend/remend.js';
import { withoutOpenFormula } from './formulas.js';

const ITEMS = 12;
const ROWS = 15;
const LENGTH = 1500;
const FORMULA = 10_000;

// At a line's or a sentence's end, before a letter: nothing that stands there can begin a block of its own.
const PLACES = {
  paragraph: /\n(?=\p{L})|[.!?…] (?=\p{L})|[。！？](?=\p{L})/gu,
  blockquote: /\n(?=> ?\p{L})/gu,
};

// `token` with its `raw`, in parts that are together the same. A part of a table carries its head as `prefix`.
export function inParts(token) {
  const cut = { list: listParts, table: tableParts, paragraph: textParts, blockquote: textParts }[token.type];
  return cut ? cut(token) : [token];
}

function listParts(list) {
  if (list.items.length <= 1 || (list.items.length <= ITEMS && list.raw.length <= LENGTH)) return [list];
  const groups = [];
  let room = 0;
  list.items.forEach(({ raw }, at) => {
    if (!groups.length || groups.at(-1).length === ITEMS || room <= 0) {
      groups.push([]);
      room = LENGTH;
    }
    groups.at(-1).push(at);
    room -= raw.length;
  });
  let rest = list.raw;
  const parts = groups.map((group, index) => {
    const items = group.map((at) => list.items[at]);
    const raw = index === groups.length - 1 ? rest : items.map((item) => item.raw).join('');
    const isWhole = rest.startsWith(raw);
    rest = rest.slice(raw.length);
    return isWhole && { ...list, items, raw, start: list.ordered ? Number(list.start) + group[0] : '' };
  });
  // Nothing of the text may be lost between the parts; should it be, the list stays whole.
  return parts.every(Boolean) ? parts : [list];
}

function tableParts(table) {
  if (table.rows.length <= ROWS) return [table];
  const [head, rule, ...rows] = table.raw.match(/[^\n]*\n+|[^\n]+$/g);
  const parts = [];
  for (let at = 0; at < rows.length; at += ROWS) {
    const raw = rows.slice(at, at + ROWS).join('');
    parts.push(at ? { ...table, raw, prefix: head + rule } : { ...table, raw: head + rule + raw });
  }
  return parts;
}

function textParts(token) {
  const parts = [];
  let { raw } = token;
  for (let end; (end = endOfPart(raw, PLACES[token.type])); raw = raw.slice(end)) {
    parts.push({ ...token, raw: raw.slice(0, end) });
  }
  return [...parts, { ...token, raw }];
}

// Not where something is open, unless it seems open for ever.
function endOfPart(raw, places) {
  if (raw.length <= 4 * LENGTH) return null;
  places.lastIndex = LENGTH;
  for (let found; (found = places.exec(raw)) && places.lastIndex <= 2 * LENGTH; ) {
    const part = raw.slice(0, places.lastIndex).trimEnd();
    if (!isOpenFormula(part) && remend(part) === part) return places.lastIndex;
  }
  if (places !== PLACES.paragraph || (raw.length <= FORMULA && isOpenFormula(raw))) return null;
  const space = raw.slice(2 * LENGTH, 4 * LENGTH).search(/\s\p{L}/u);
  if (space >= 0) return 2 * LENGTH + space + 1;
  const letter = raw.slice(3 * LENGTH, 4 * LENGTH).search(/[\p{L}\p{N}]|(?<!\u200d)\p{Extended_Pictographic}/u);
  return 3 * LENGTH + (letter < 0 ? LENGTH : letter);
}

const isOpenFormula = (raw) => withoutOpenFormula(raw) !== raw;

// Whether a block goes on in the next one. Neighbours of one kind are always parts of one list: markdown would have made
// one of them.
export function goesOn({ raw, token: before }, { prefix, token }) {
  if (before.type !== token.type) return false;
  if (token.type === 'list') return marker(before) === marker(token);
  if (token.type === 'table') return prefix !== undefined;
  return token.type in PLACES && !/\n[ \t>]*\n\s*$/.test(raw);
}

const marker = ({ raw }) => /[-*+]|[.)]/.exec(raw)?.[0];
