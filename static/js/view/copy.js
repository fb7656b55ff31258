// A button that copies, and says that it did.

import { h, icon } from '../lib/dom.js';

const SHOWN = 1600;

export function copyButton(label, textOf) {
  const button = h(
    'button',
    { type: 'button', class: 'icon-button copy', 'aria-label': label, title: label },
    icon('copy'),
  );
  button.addEventListener('click', async () => {
    const copied = await toClipboard(textOf());
    button.replaceChildren(icon(copied ? 'check' : 'cross'));
    button.setAttribute('aria-label', copied ? 'Copied' : 'Could not copy');
    setTimeout(() => {
      button.replaceChildren(icon('copy'));
      button.setAttribute('aria-label', label);
    }, SHOWN);
  });
  return button;
}

async function toClipboard(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // The clipboard is for secure origins only; on plain http the old way still works.
    const field = h('textarea', { class: 'visually-hidden', readonly: true });
    field.value = text;
    document.body.append(field);
    field.select();
    const copied = document.execCommand('copy');
    field.remove();
    return copied;
  }
}
