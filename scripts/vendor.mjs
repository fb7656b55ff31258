#!/usr/bin/env node
// The page's libraries are kept in static/vendor/, so that it needs neither a build nor another host.
//
//   node scripts/vendor.mjs            check: every file is the one vendor.json says, and nothing else is there
//   node scripts/vendor.mjs --update   fetch the versions named in vendor.json again and write the hashes anew
//
// To move to another version: change `version` in vendor.json, run with --update, read the diff.

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, relative, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';

const FOLDER = resolve(dirname(fileURLToPath(import.meta.url)), '..', 'static', 'vendor');
const MANIFEST = join(FOLDER, 'vendor.json');

const sha256 = (path) => createHash('sha256').update(readFileSync(path)).digest('hex');

const readManifest = () => JSON.parse(readFileSync(MANIFEST, 'utf8'));

const filesIn = (folder) =>
  readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) =>
      relative(folder, join(entry.parentPath ?? entry.path, entry.name))
        .split(sep)
        .join('/'),
    );

export function problems() {
  const kept = readManifest().flatMap((library) => library.files);
  const found = new Set(filesIn(FOLDER));
  found.delete('vendor.json');
  const wrong = [];
  for (const { file, sha256: expected } of kept) {
    if (!found.delete(file)) wrong.push(`${file} is missing`);
    else if (sha256(join(FOLDER, file)) !== expected) wrong.push(`${file} is not the file that vendor.json names`);
  }
  for (const file of found) wrong.push(`${file} is not in vendor.json`);
  return wrong;
}

function update() {
  const libraries = readManifest();
  const scratch = mkdtempSync(join(tmpdir(), 'parley-vendor-'));
  try {
    writeFileSync(join(scratch, 'package.json'), '{"private": true}');
    const wanted = libraries.map(({ name, version }) => `${name}@${version}`);
    execFileSync('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', ...wanted], {
      cwd: scratch,
      stdio: 'inherit',
    });
    for (const library of libraries) {
      const pack = JSON.parse(readFileSync(join(scratch, 'node_modules', library.name, 'package.json'), 'utf8'));
      library.version = pack.version;
      library.licence = pack.license.replace(/^\(|\)$/g, '');
      for (const entry of library.files) {
        const target = join(FOLDER, entry.file);
        mkdirSync(dirname(target), { recursive: true });
        cpSync(join(scratch, 'node_modules', entry.source), target);
        entry.sha256 = sha256(target);
      }
    }
    writeFileSync(MANIFEST, `${JSON.stringify(libraries, null, 2)}\n`);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  if (process.argv.includes('--update')) update();
  const wrong = problems();
  for (const line of wrong) console.error(line);
  if (wrong.length) process.exitCode = 1;
  else console.log('static/vendor is as vendor.json says');
}
