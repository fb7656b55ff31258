import assert from 'node:assert/strict';
import { test } from 'node:test';

import { grown } from '../../static/js/view/markdown/fence.js';
import {
  blocksOf,
  hasDefinitions,
  htmlOf,
  htmlOfOpen,
  isClosedCode,
  isCode,
} from '../../static/js/view/markdown/parse.js';
import { goesOn } from '../../static/js/view/markdown/parts.js';

const open = (text) => htmlOfOpen(blocksOf(text).at(-1)).trim();

const whole = (text) => blocksOf(text).map(htmlOf).join('').trim();

test('blocks are the text, cut and nothing lost', () => {
  const text = '# Head\n\nSome *words*\nmore\n\n- a\n\n- b\n\n```py\nx = 1\n```\n\n| a |\n|---|\n| 1 |\n\nend';
  const blocks = blocksOf(text);
  assert.equal(blocks.map(({ raw }) => raw).join(''), text);
  assert.deepEqual(
    blocks.map(({ token }) => token.type),
    ['heading', 'paragraph', 'list', 'code', 'table', 'paragraph'],
  );
});

test('a block that is still being written never shows its marks', () => {
  assert.equal(open('some **bold'), '<p>some <strong>bold</strong></p>');
  assert.equal(open('see [the manu'), '<p>see the manu</p>');
  assert.equal(open('see [the manual](http://exa'), '<p>see the manual</p>');
  assert.equal(open('run `ls'), '<p>run <code>ls</code></p>');
  assert.equal(open('words\n| a | b |\n|--'), '<p>words</p>');
  assert.equal(open('| a'), '');
  assert.doesNotMatch(open('A title?\n-'), /<h2>/);
});

test('a fence is closed by its like, and by nothing shorter', () => {
  const closed = (text) => isCode(blocksOf(text).at(-1)) && isClosedCode(blocksOf(text).at(-1));
  assert.equal(closed('```py\nx\n```'), true);
  assert.equal(closed('~~~\nx\n~~~\n\n'), true);
  assert.equal(closed('```py\nx\n``'), false);
  assert.equal(closed('````\n```\n'), false);
  assert.equal(closed('```'), false);
  assert.equal(closed('a paragraph'), false);
});

test('pictures become links, so that nothing is fetched', () => {
  assert.equal(
    whole('![a pixel](https://example.org/p.png)'),
    '<p><a href="https://example.org/p.png">a pixel</a></p>',
  );
});

test('bare tags for writing are kept, other markup is shown as text', () => {
  assert.equal(whole('H<sub>2</sub>O'), '<p>H<sub>2</sub>O</p>');
  assert.match(whole('use the <script> tag'), /use the &lt;script> tag/);
  assert.match(whole('<img src=x onerror=alert(1)>'), /^&lt;img/);
  assert.equal(whole('a<!-- hidden -->b'), '<p>ab</p>');
});

test('link targets that are defined elsewhere are noticed', () => {
  assert.equal(hasDefinitions('[a]: http://example.org'), true);
  assert.equal(hasDefinitions('[a](b): c'), false);
  assert.match(whole('see [a]\n\n[a]: http://example.org'), /href="http:\/\/example.org"/);
});

test('formulas are told apart from money and from code', () => {
  assert.equal(whole('so $x^2$ is'), '<p>so <code class="math">x^2</code> is</p>');
  assert.equal(whole(String.raw`and \(a_1\)`), '<p>and <code class="math">a_1</code></p>');
  assert.equal(whole('it costs $5 or $10'), '<p>it costs $5 or $10</p>');
  assert.equal(whole('`$x$`'), '<p><code>$x$</code></p>');
  assert.equal(whole('$a<b$'), '<p><code class="math">a&#60;b</code></p>');
  for (const text of ['$$\nx\n$$', String.raw`\[ x \]`]) {
    assert.equal(whole(text), '<p><code class="math display">x</code></p>');
  }
  assert.deepEqual(
    blocksOf('words\n$$\nx\n$$\nmore').map(({ token }) => token.type),
    ['paragraph', 'display', 'paragraph'],
  );
});

test('a formula does not end in code that comes after it', () => {
  const money = whole('It costs $5; the variable `$price` holds it.');
  assert.equal(money, '<p>It costs $5; the variable <code>$price</code> holds it.</p>');
  assert.equal(whole('set $HOME, `a` or `$PATH`'), '<p>set $HOME, <code>a</code> or <code>$PATH</code></p>');
  assert.equal(whole('the process $$, as in `$$`'), '<p>the process $$, as in <code>$$</code></p>');
  assert.equal(whole('a group from \\( to `\\)`'), '<p>a group from ( to <code>\\)</code></p>');
  for (const [begin, end] of [['$$', '$$'], ['\\[', '\\]']]) {
    const types = blocksOf(`${begin} is it:\n\n~~~\n\`echo\` ${end}\n~~~\n`).map(({ token }) => token.type);
    assert.deepEqual(types, ['paragraph', 'code']);
  }
  assert.equal(whole("so $``A''$ is"), "<p>so <code class=\"math\">``A&#39;&#39;</code> is</p>");
});

test('a formula that is still being written is not shown, and what is complete is', () => {
  assert.equal(open('so $x^2 + '), '<p>so</p>');
  assert.equal(open('so $'), '<p>so</p>');
  assert.equal(open('so $x^2$ and $y'), '<p>so <code class="math">x^2</code> and</p>');
  assert.equal(open('so $x^2$ and more'), '<p>so <code class="math">x^2</code> and more</p>');
  assert.equal(open('use `$HOME` to'), '<p>use <code>$HOME</code> to</p>');
  assert.equal(open('use `$HO'), '<p>use <code>$HO</code></p>');
  assert.equal(open('it costs $5 and'), '<p>it costs $5 and</p>');
  assert.equal(open(String.raw`and \(a_`), '<p>and</p>');
  assert.equal(open('$$\n\\frac1'), '');
});

test('a long list is cut into parts, wherever it has got to, and counts on', () => {
  const text = Array.from({ length: 30 }, (_, at) => `${at + 1}. item *${at}*\n   more\n`).join('');
  for (let end = 400; end <= text.length; end += 1) {
    const parts = blocksOf(text.slice(0, end));
    assert.ok(parts.every(({ token }) => token.items.length <= 12));
    assert.equal(parts.map(({ raw }) => raw).join('').trimEnd(), text.slice(0, end).trimEnd());
  }
  const parts = blocksOf(text);
  assert.deepEqual(
    parts.map(({ token }) => token.start),
    [1, 13, 25],
  );
  assert.ok(goesOn(parts[0], parts[1]));
  assert.ok(!goesOn(parts[0], blocksOf('- x')[0]));
});

test('code that goes on is the same as code that is parsed as a whole, and its end is left to the parser', () => {
  const text = '```py\nx = 1\n\ny = `2`\n';
  let block = blocksOf('```py\n')[0];
  for (const sign of text.slice(6)) block = grown(block, sign);
  assert.equal(block.raw, text);
  assert.equal(block.token.text, blocksOf(text)[0].token.text);
  assert.equal(grown(block, '```'), null);
  assert.equal(grown(grown(block, '``'), '`'), null);
  assert.equal(grown(blocksOf('```py')[0], '\n'), null);
});

// As the page does it: all but the last two blocks stay as they are.
function streamed(text, step) {
  let blocks = [];
  for (let end = step; end < text.length + step; end += step) {
    const settled = Math.max(0, blocks.length - 2);
    const length = blocks.slice(0, settled).reduce((sum, { raw }) => sum + raw.length, 0);
    const rest = blocksOf(text.slice(length, end), blocks[settled]?.prefix);
    blocks = [...blocks.slice(0, settled), ...rest];
  }
  return blocks;
}

const LONG = {
  sentences: 'Some **bold** words about `things` and [a link](https://example.com/x). Then more. '.repeat(200),
  lines: 'A line with *emphasis* in it\n'.repeat(400),
  quote: '> A line that somebody **said**\n'.repeat(400),
  unbroken: 'c3VyZS4'.repeat(2000),
  marks: '**bold '.repeat(2000),
  brackets: '['.repeat(20000),
  formulas: 'where $x_1^2$ and $y$ are such that $x+y=z$ holds, '.repeat(300),
  table: `| a | b |\n|---|--:|\n${'| some words | **1** |\n'.repeat(300)}\nAfter it.`,
  pictures: `!${'👨‍👩‍👧'.repeat(2000)}`,
  list: '1. one\n   - nested words\n   - and more of them\n\n   A paragraph.\n'.repeat(100),
};

for (const [name, text] of Object.entries(LONG)) {
  test(`a long block is cut into parts, the same while it grows as at its end: ${name}`, () => {
    const whole = blocksOf(text);
    const raws = (blocks) => blocks.map(({ raw }) => raw);
    assert.equal(raws(whole).join(''), text);
    assert.ok(whole.every(({ raw }) => raw.length <= 6001 && raw.isWellFormed()));
    for (const step of [97, 1511]) assert.deepEqual(raws(streamed(text, step)), raws(whole));
  });
}

test('the rest of a table is drawn with its head, and is known to be the rest', () => {
  const [first, second, ...others] = blocksOf(LONG.table);
  assert.ok(goesOn(first, second));
  assert.match(htmlOf(second), /<thead>[^]*<th align="right">b<[^]*<td align="right"><strong>1<\/strong><\/td>/);
  assert.ok(!goesOn(others.at(-2), others.at(-1)));
  assert.match(htmlOf(others.at(-1)), /^<p>After it.<\/p>/);
});

// What a model writes that has fallen into a loop, or wants to do harm.
const ENDLESS = {
  quotes: '>'.repeat(20_000),
  lists: Array.from({ length: 300 }, (_, depth) => `${'  '.repeat(depth)}- x`).join('\n'),
  listsInLine: '- '.repeat(5000),
  emphasis: '*a '.repeat(10_000),
  strong: '**a*'.repeat(5000),
  links: '[a]('.repeat(10_000),
  pictures: '![['.repeat(5000),
  tags: '<b>'.repeat(10_000),
  angles: '<'.repeat(20_000),
  code: '`a'.repeat(10_000),
  formulas: '$a\\('.repeat(10_000),
  comments: '<!--'.repeat(10_000),
  table: `${'|'.repeat(2000)}\n${'|-'.repeat(2000)}|\n${'|'.repeat(2000)}`,
  empty: `${'\n'.repeat(20_000)}x`,
};

for (const [name, text] of Object.entries(ENDLESS)) {
  test(`nothing is too deep or too long: ${name}`, { timeout: 60_000 }, () => {
    const blocks = blocksOf(text);
    assert.equal(blocks.map(({ raw }) => raw).join(''), text);
    assert.doesNotThrow(() => blocks.forEach((block) => [htmlOf(block), htmlOfOpen(block)]));
  });
}
