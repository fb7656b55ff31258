// A short menu at a button. The browser's popover closes it on Esc and on a click elsewhere.

import { h, icon } from '../lib/dom.js';

const GAP = 6;

export function openMenu(button, items) {
  // Its button closes it too. By the time of the click, the browser may have done so and not said it yet.
  if (button.getAttribute('aria-expanded') === 'true') return document.querySelector('.menu:popover-open')?.hidePopover();
  const menu = h('div', { class: 'menu', role: 'menu', popover: 'auto' });
  for (const { label, symbol, danger, action } of items) {
    const item = h(
      'button',
      { type: 'button', role: 'menuitem', class: danger ? 'danger' : null },
      icon(symbol),
      label,
    );
    item.addEventListener('click', () => {
      menu.hidePopover();
      action();
    });
    menu.append(item);
  }
  menu.addEventListener('keydown', (event) => move(menu, event));
  menu.addEventListener('toggle', ({ newState }) => {
    if (newState !== 'closed') return;
    button.setAttribute('aria-expanded', 'false');
    menu.remove();
  });
  button.closest('main, aside').append(menu);
  menu.showPopover();
  button.setAttribute('aria-expanded', 'true');
  place(menu, button.getBoundingClientRect());
  menu.firstElementChild.focus();
}

function place(menu, { left, right, top, bottom }) {
  const { width, height } = menu.getBoundingClientRect();
  const below = bottom + GAP + height <= innerHeight;
  const start = left + width <= innerWidth - GAP ? left : right - width;
  menu.style.left = `${Math.max(GAP, start)}px`;
  menu.style.top = `${below ? bottom + GAP : top - GAP - height}px`;
}

function move(menu, event) {
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (!step) return;
  event.preventDefault();
  const items = [...menu.children];
  const at = items.indexOf(document.activeElement);
  items.at((at + step) % items.length).focus();
}
