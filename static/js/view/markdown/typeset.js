// Puts formulas in place of their sources: at once if the typesetter is here already, so that nothing flickers.

// Longer than this, it is no formula.
const MAX_LENGTH = 10_000;

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
  const tex = slot.textContent;
  const node = tex.length <= MAX_LENGTH ? formula(tex, slot.classList.contains('display')) : null;
  if (!node) return;
  const place = document.createElement('span');
  place.className = slot.className;
  place.append(node);
  slot.replaceWith(place);
}
