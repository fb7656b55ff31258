// The page's structure: imports go one way, and the page asks at once for all that it needs.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { problems } from '../../scripts/vendor.mjs';

const ROOT = join(dirname(fileURLToPath(import.meta.url)), '..', '..');
const STATIC = join(ROOT, 'static');
const TEMPLATE = readFileSync(join(ROOT, 'templates', 'index.html'), 'utf8');

const STATIC_IMPORT = /^(?:import|export)\s(?:[^;'"]*\sfrom\s)?['"](\.[^'"]+)['"]/gm;
const ANY_IMPORT = /(?:^(?:import|export)\s(?:[^;'"]*\sfrom\s)?|import\()['"](\.[^'"]+)['"]/gm;

const modules = readdirSync(join(STATIC, 'js'), { recursive: true })
  .filter((name) => name.endsWith('.js'))
  .map((name) => `js/${name}`);

const importsOf = (module, pattern) =>
  [...readFileSync(join(STATIC, module), 'utf8').matchAll(pattern)].map(([, path]) =>
    normalize(join(dirname(module), path)),
  );

// Who may import from whom.
const FLOORS = {
  lib: ['lib'],
  model: ['model'],
  net: ['net', 'model', 'lib', 'vendor'],
  app: ['app', 'net', 'model', 'lib'],
  view: ['view', 'model', 'lib', 'vendor'],
};

const floorOf = (module) => (module.startsWith('vendor/') ? 'vendor' : module.split('/')[1]);

test('imports go down only', () => {
  for (const module of modules) {
    const allowed = FLOORS[floorOf(module)];
    if (!allowed) continue;
    for (const imported of importsOf(module, ANY_IMPORT)) {
      assert.ok(allowed.includes(floorOf(imported)), `${module} imports ${imported}`);
    }
  }
});

test('no module imports itself by a detour', () => {
  const visit = (module, trail) => {
    assert.ok(!trail.includes(module), [...trail, module].join(' → '));
    if (module.startsWith('js/')) importsOf(module, ANY_IMPORT).forEach((next) => visit(next, [...trail, module]));
  };
  visit('js/main.js', []);
});

test('every module is used', () => {
  const reached = new Set();
  const visit = (module) => {
    if (reached.has(module) || !module.startsWith('js/')) return;
    reached.add(module);
    importsOf(module, ANY_IMPORT).forEach(visit);
  };
  visit('js/main.js');
  assert.deepEqual(
    modules.filter((module) => !reached.has(module)),
    ['js/boot.js'],
  );
});

// Its own modules come in one file.
test('the page preloads exactly the libraries it starts with', () => {
  const needed = new Set();
  const visit = (module) => {
    if (needed.has(module)) return;
    needed.add(module);
    if (module.startsWith('js/')) importsOf(module, STATIC_IMPORT).forEach(visit);
  };
  visit('js/main.js');
  const libraries = [...needed].filter((module) => floorOf(module) === 'vendor');
  const preloaded = [
    ...TEMPLATE.matchAll(/modulepreload" href="\{\{ asset\('([^']+)'\) \}\}"/g),
  ].map(([, path]) => path);
  assert.deepEqual(preloaded.toSorted(), libraries.toSorted());
});

test('what is loaded later brings no second copy of what the page has', () => {
  const lazy = modules.flatMap((module) => [...readFileSync(join(STATIC, module), 'utf8').matchAll(/import\('([^']+)'\)/g)]
    .map(([, path]) => normalize(join(dirname(module), path))));
  assert.ok(lazy.length);
  for (const module of lazy) assert.deepEqual(importsOf(module, ANY_IMPORT).map(floorOf), ['vendor']);
});

test('every style sheet is used', () => {
  const imported = [...readFileSync(join(STATIC, 'css', 'page.css'), 'utf8').matchAll(/@import '\.\/([^']+)'/g)];
  const sheets = readdirSync(join(STATIC, 'css'));
  assert.deepEqual([...imported.map(([, name]) => name), 'page.css', 'reference.css'].toSorted(), sheets.toSorted());
});

test('nothing in the page needs more than the content security policy allows', () => {
  assert.doesNotMatch(TEMPLATE, /<script(?![^>]*\ssrc=)|<style|\sstyle=|\son[a-z]+=|https?:/);
});

test('every symbol that is used is drawn', () => {
  const drawn = new Set([...TEMPLATE.matchAll(/symbol id="icon-(\w+)"/g)].map(([, name]) => name));
  const sources = modules.map((module) => readFileSync(join(STATIC, module), 'utf8')).join('\n');
  const used = new Set([
    ...[...TEMPLATE.matchAll(/href="#icon-(\w+)"/g)].map(([, name]) => name),
    ...[...sources.matchAll(/(?:icon|button)\('(\w+)'|symbol: '(\w+)'/g)].map(([, a, b]) => a ?? b),
    ...['check', 'cross'],
  ]);
  assert.deepEqual([...used].toSorted(), [...drawn].toSorted());
});

test('the libraries are the ones that vendor.json names', () => assert.deepEqual(problems(), []));
