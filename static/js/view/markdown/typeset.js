// Puts formulas in place of their sources: at once if the typesetter is here already, so that nothing flickers.

// Longer than this, it is no formula.
const MAX_LENGTH = 10_000;

// A paragraph that is still being written is drawn with every word; its formulas are set once.
const KEPT = 300;
const set = new Map();

const sources = new WeakMap(); // of what was put in their place

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

// Whether this node is what would be put in that slot's place.
export const isSetFrom = (node, slot) => sources.has(node) && sources.get(node) === keyOf(slot);

const keyOf = ({ className, textContent }) => className + textContent;

function put(slot) {
  const key = keyOf(slot);
  if (!set.has(key)) {
    set.set(key, made(slot));
    if (set.size > KEPT) set.delete(set.keys().next().value);
  }
  const place = set.get(key)?.cloneNode(true);
  if (!place) return;
  sources.set(place, key);
  slot.replaceWith(place);
}

// Null for what is no formula: it stays as it was written.
function made({ className, textContent: tex }) {
  const node = tex.length <= MAX_LENGTH ? formula(tex, className === 'math display') : null;
  if (!node) return null;
  const place = document.createElement('span');
  place.className = className;
  place.append(node);
  return place;
}
