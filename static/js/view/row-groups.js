// The rows, in groups. A group that is far from the screen is skipped by the browser as a whole, so that a long chat costs
// no more than a short one; watching each row would cost as much as it saves.

import { h } from '../lib/dom.js';

const SIZE = 16;

// A group is skipped only when its height is known: the browser remembers it from the last time it was laid out.
// By then, formulas and colours are there too.
const SETTLED = 500;

export function createRowGroups(list) {
  let timer = null;
  let width = 0;

  // The rows stand in this order; those that do already are not touched.
  function arrange(rows) {
    let before = null;
    for (const row of rows) {
      if (row !== following(before)) insert(row, before);
      before = row;
    }
  }

  function following(row) {
    if (!row) return list.firstElementChild?.firstElementChild;
    return row.nextElementSibling ?? row.parentElement.nextElementSibling?.firstElementChild;
  }

  function insert(row, before) {
    const group = before?.parentElement;
    if (row.isConnected) remove(row);
    if (group && (before.nextElementSibling || group.childElementCount < SIZE)) {
      before.after(row);
      group.classList.remove('far');
    } else {
      const added = h('div', { class: 'row-group' }, row);
      if (group) group.after(added);
      else list.prepend(added);
    }
    settleSoon();
  }

  function remove(row) {
    const group = row.parentElement;
    row.remove();
    group.classList.remove('far');
    if (!group.childElementCount) group.remove();
    settleSoon();
  }

  function settleSoon() {
    clearTimeout(timer);
    // Not before a frame was drawn, which a hidden page does not do.
    timer = setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(settle)), SETTLED);
  }

  // The last one is where rows grow.
  function settle() {
    for (const group of list.children) group.classList.toggle('far', group !== list.lastElementChild);
  }

  // In another width, rows have other heights.
  new ResizeObserver(() => {
    if (list.clientWidth === width) return;
    width = list.clientWidth;
    for (const group of list.children) group.classList.remove('far');
    settleSoon();
  }).observe(list);

  return { arrange, remove };
}
