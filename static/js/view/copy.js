// A button that copies, and says that it did.

import { button, h, icon } from '../lib/dom.js';

const SHOWN = 1600;

export function copyButton(label, textOf) {
  const copy = button('copy', label, async () => {
    const copied = await toClipboard(textOf());
    copy.replaceChildren(icon(copied ? 'check' : 'cross'));
    copy.setAttribute('aria-label', copied ? 'Copied' : 'Could not copy');
    setTimeout(() => {
      copy.replaceChildren(icon('copy'));
      copy.setAttribute('aria-label', label);
    }, SHOWN);
  });
  copy.classList.add('copy');
  return copy;
}

async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // The clipboard is for secure origins only; on plain http the old way still works. It takes the focus for a moment.
    const focused = document.activeElement;
    const field = h('textarea', { class: 'visually-hidden', readonly: true });
    field.value = text;
    document.body.append(field);
    field.select();
    const copied = document.execCommand('copy');
    field.remove();
    focused?.focus({ preventScroll: true });
    return copied;
  }
}
