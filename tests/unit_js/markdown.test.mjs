import assert from 'node:assert/strict';
import { test } from 'node:test';

import {
  blocksOf,
  hasDefinitions,
  htmlOf,
  htmlOfOpen,
  isClosedCode,
  isCode,
} from '../../static/js/view/markdown/parse.js';

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
