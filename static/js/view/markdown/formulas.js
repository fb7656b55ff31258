// Formulas among the markdown: $…$ and \(…\) in a line, $$…$$ and \[…\] on their own. Only told apart here; what stands
// between the signs is kept as it is.

// As in most dialects: a sum of money is no formula, nor is what has a space inside its signs. A backtick begins code, and
// the next sign may stand in it; two of them are TeX's quotation mark.
const INLINE = [
  /^\$\$((?:``|[^$\n`])+?)\$\$/,
  /^\$(?![\s$])((?:\\[^]|``|[^\\$\n`])+?)(?<!\s)\$(?!\d)/,
  /^\\\(((?:``|[^`])+?)\\\)/,
];
const DISPLAY = [
  /^ {0,3}\$\$((?:``|[^`])+?)\$\$[ \t]*(?:\n+|$)/,
  /^ {0,3}\\\[((?:``|[^`])+?)\\\][ \t]*(?:\n+|$)/,
];

// The parser asks after each piece of text. To look through all that follows would cost the square of its length.
const AHEAD = 500;

function nextFormula(source) {
  const near = source.slice(0, AHEAD);
  const at = near.search(/\$|\\\(/);
  if (at >= 0) return at;
  return near.length < AHEAD ? undefined : Math.max(near.lastIndexOf(' '), near.lastIndexOf('\n')) + 1 || AHEAD;
}

const match = (patterns, source) => patterns.map((pattern) => pattern.exec(source)).find(Boolean);

export const formulas = (escape) => [
  {
    name: 'display',
    level: 'block',
    // A paragraph ends with an empty line at the latest: further on it is no concern of it.
    start: (source) => /(?:^|\n) {0,3}(?:\$\$|\\\[)/.exec(source.split('\n\n', 1)[0])?.index,
    tokenizer(source) {
      const found = match(DISPLAY, source);
      return found && { type: 'display', raw: found[0], tex: found[1].trim() };
    },
    renderer: ({ tex }) => `<p><code class="math display">${escape(tex)}</code></p>\n`,
  },
  {
    name: 'formula',
    level: 'inline',
    start: nextFormula,
    tokenizer(source) {
      const found = match(INLINE, source);
      return found && { type: 'formula', raw: found[0], tex: found[1].trim() };
    },
    renderer: ({ tex }) => `<code class="math">${escape(tex)}</code>`,
  },
];

const CODE = /(`+)[^`](?:(?!\1)[^])*(?:\1|$)/g;
const OPEN_DISPLAY = /\$\$(?:(?!\$\$)[^])*$|\\\[(?:(?!\\\])[^])*$|\\\((?:(?!\\\))[^])*$/;
// A sign that stands for long with no other is none of a formula.
const OPEN_INLINE = /\$(?:(?=[A-Za-z\\({])(?:\\[^]|[^\\$\n]){0,80}\\?)?$/;

// A formula that has begun and has no end yet is not shown: its source would flash by.
export function withoutOpenFormula(text) {
  const blank = (part) => ' '.repeat(part.length);
  const plain = text.replace(CODE, blank).replace(/\$\$[^]*?\$\$/g, blank);
  const open = OPEN_DISPLAY.exec(plain) ?? OPEN_INLINE.exec(plain);
  if (!open || isSecond(plain, open)) return text;
  return text.slice(0, open.index);
}

// The last sign of a pair looks like the first of another.
function isSecond(text, { index, 0: found }) {
  if (found[0] !== '$' || found[1] === '$') return false;
  const line = text.slice(text.lastIndexOf('\n', index) + 1, index);
  return (line.match(/(?<!\\)\$/g)?.length ?? 0) % 2 === 1;
}
