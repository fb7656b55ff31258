// Puts formulas in place of their sources: at once if the typesetter is here already, so that nothing flickers.

// Longer than this, it is no formula.
const MAX_LENGTH = 10_000;

// A paragraph that is still being written is drawn with every word; its formulas are set once.
const KEPT = 300;
const set = new Map();

let formula = null;

export function typeset(slots) {
  if (!slots.length) return;
  if (formula) slots.forEach(put);
  else load().then(() => slots.forEach(put));
}

async function load() {
  const math = await import('./math.js');
  await math.ready;
  formula = math.formula;
}

function put(slot) {
  const { className, textContent: tex } = slot;
  const known = set.get(className + tex) ?? made(className, tex);
  if (known) slot.replaceWith(known.cloneNode(true));
}

function made(className, tex) {
  const node = tex.length <= MAX_LENGTH ? formula(tex, className === 'math display') : null;
  if (!node) return null;
  const place = document.createElement('span');
  place.className = className;
  place.append(node);
  set.set(className + tex, place);
  if (set.size > KEPT) set.delete(set.keys().next().value);
  return place;
}
