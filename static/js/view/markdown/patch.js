// Brings what is drawn level with what is to be drawn. What is the same stays where it is: a selection in it, a formula
// that was laid out, a block of code, and all that the browser need not do again.

import { showsCode } from './code.js';
import { isSetFrom } from './typeset.js';

export function patch(drawn, wanted) {
  let old = drawn.firstChild;
  for (const node of [...wanted.childNodes]) {
    const next = old?.nextSibling;
    if (!old) drawn.append(node);
    else if (!becomes(old, node)) old.replaceWith(node);
    old = next;
  }
  while (old) {
    const next = old.nextSibling;
    old.remove();
    old = next;
  }
}

// Whether it is, or could be made, the other.
function becomes(old, node) {
  if (isSetFrom(old, node) || showsCode(old, node)) return true;
  if (!isAlike(old, node)) return false;
  if (old.nodeType === Node.TEXT_NODE) write(old, node.data);
  else patch(old, node);
  return true;
}

function isAlike(old, { nodeName, attributes = [] }) {
  return (
    old.nodeName === nodeName &&
    attributes.length === (old.attributes?.length ?? 0) &&
    [...attributes].every(({ name, value }) => old.getAttribute(name) === value)
  );
}

// What is added to a text does not disturb what is selected in it.
function write(text, data) {
  if (data === text.data) return;
  if (data.startsWith(text.data)) text.appendData(data.slice(text.length));
  else text.data = data;
}
