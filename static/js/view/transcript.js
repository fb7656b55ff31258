// The open conversation, row by row. A row's element lives as long as its key.

import { inLane } from '../model/outbox.js';
import { rowsOf } from '../model/rows.js';
import { createRowGroups } from './row-groups.js';
import { createRow } from './row.js';
import { createScroller } from './scroller.js';

// Of a conversation that is opened, the end is drawn first; what stands above follows frame by frame, as do older messages.
const SCREENFUL = 10;
const BATCH = 8;

const PARTS = ['kind', 'message', 'turn', 'entry', 'ahead', 'until', 'editing', 'connection', 'behind'];

// What is at the end of the conversation, so that more of it can be noticed.
const endOf = (state) => state?.turns[0]?.text || state?.messages.at(-1);

const sameRow = (a, b) => PARTS.every((part) => a[part] === b[part]);

export function createTranscript({ scroller, content, list, empty, loading, missing, older, jump }, actions, drawAgain) {
  const scroll = createScroller({ scroller, content, jump }, { onTop: () => undrawn || actions.loadOlder() });
  const groups = createRowGroups(list);
  let drawn = new Map(); // key → {row, view}
  let all = [];
  let undrawn = 0; // so many of them are still to be drawn, above the others
  let goingOn = false;
  let shown = {};

  empty.addEventListener('click', ({ target }) => {
    const example = target.closest('[data-prompt]');
    if (!example) return;
    actions.type(example.dataset.prompt);
    actions.send();
  });
  missing.querySelector('button').addEventListener('click', () => actions.startNew());

  function render({ lane, log, outbox, waits, editing, connection, missing: isMissing }) {
    const state = log?.state ?? null;
    const entries = inLane(outbox, lane);
    const moved = lane !== shown.lane;
    const now = { lane, state, outbox, waits, editing, connection: connection.status };
    if (isBehind() || Object.keys(now).some((part) => now[part] !== shown[part])) {
      const rows = rowsOf(state, entries, { editing, connection: connection.status, waits });
      const first = moved ? -1 : rows.findIndex(({ key }) => drawn.has(key));
      drawFrom(first < 0 ? rows.length - SCREENFUL : first, rows);
      if (!moved && endOf(state) !== endOf(shown.state)) scroll.grown();
    }
    // Who opens a conversation, or says something, wants to see its end.
    if (moved || entries.length > shown.count) scroll.toEnd();
    shown = { ...now, count: entries.length };

    const opening = log !== null && state === null;
    const bare = drawn.size === 0;
    empty.hidden = !bare || opening || isMissing;
    loading.hidden = !bare || !opening || connection.status === 'expired';
    missing.hidden = !isMissing;
    older.hidden = !state?.more;
    if (isBehind()) drawAgain();
  }

  // Whether a reply that is written has more to show than could be drawn in a frame.
  const isBehind = () => [...drawn.values()].some(({ view }) => view.isBehind);

  function drawFrom(first, rows) {
    all = rows;
    undrawn = Math.max(0, first);
    scroll.holding(list.firstElementChild, () => draw(all.slice(undrawn)));
    if (!undrawn || goingOn) return;
    goingOn = true;
    requestAnimationFrame(() => {
      goingOn = false;
      drawFrom(undrawn - BATCH, all);
    });
  }

  function draw(rows) {
    const wanted = new Set(rows.map(({ key }) => key));
    for (const [key, { view }] of drawn) if (!wanted.has(key)) groups.remove(view.element);
    drawn = new Map(rows.map((row) => [row.key, drawRow(row)]));
    groups.arrange([...drawn.values()].map(({ view }) => view.element));
  }

  function drawRow(row) {
    const known = drawn.get(row.key);
    if (known && sameRow(known.row, row) && !known.view.isBehind) return known;
    const view = known?.view ?? createRow(row.kind, actions);
    view.update(row);
    return { row, view };
  }

  return { render };
}
