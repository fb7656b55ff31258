// The list of conversations; on a narrow screen, a drawer over the chat.

import { h, icon, setText } from '../lib/dom.js';
import { dayGroup } from '../lib/time.js';
import { openConversationMenu } from './conversation-menu.js';

const STATES = { running: 'Replying', waiting: 'Waiting', failed: 'Failed' };

const WIDE = matchMedia('(min-width: 56rem)');

export function createSidebar({ sidebar, list, scrim, main, openButton, closeButton }, actions) {
  let shown = {};
  let isOpen = false;

  function setOpen(open) {
    isOpen = open;
    const drawer = !WIDE.matches;
    sidebar.classList.toggle('open', drawer && open);
    sidebar.inert = drawer && !open;
    main.inert = drawer && open;
    scrim.hidden = !(drawer && open);
    openButton.setAttribute('aria-expanded', String(drawer && open));
  }

  function close() {
    if (!isOpen) return;
    setOpen(false);
    openButton.focus();
  }

  openButton.addEventListener('click', () => {
    setOpen(true);
    closeButton.focus();
  });
  closeButton.addEventListener('click', close);
  scrim.addEventListener('click', close);
  sidebar.addEventListener('keydown', ({ key, target }) => {
    if (key === 'Escape' && !target.closest('[popover]')) close();
  });
  WIDE.addEventListener('change', () => setOpen(false));
  setOpen(false);

  // Links, so that they can be opened in a tab of their own; a plain click stays on the page.
  sidebar.addEventListener('click', (event) => {
    const link = event.target.closest('a');
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    setOpen(false);
    if (!link.dataset.id) actions.startNew();
    else actions.open(link.dataset.id);
  });

  function render({ conversations, cursor, lane }) {
    if (conversations === shown.conversations && lane === shown.lane && cursor === shown.cursor) return;
    shown = { conversations, lane, cursor };
    const groups = Map.groupBy(conversations, ({ updated_at }) => dayGroup(updated_at));
    const parts = [...groups].map(([name, members]) => group(name, members, lane));
    if (cursor)
      parts.push(
        h('button', { type: 'button', class: 'button quiet', onclick: actions.moreConversations }, 'Show more'),
      );
    if (!parts.length) parts.push(h('p', { class: 'list-empty' }, 'Your conversations will be listed here.'));
    keepingFocus(list, () => list.replaceChildren(...parts));
  }

  function group(name, members, lane) {
    const items = members.map((conversation) => item(conversation, conversation.id === lane));
    return h('section', { class: 'list-group' }, h('h2', {}, name), h('ul', {}, ...items));
  }

  function item(conversation, current) {
    const { id, title, state } = conversation;
    const name = title || 'New chat';
    const text = h('span', { class: 'item-title', dir: 'auto' });
    setText(text, name);
    const mark =
      STATES[state] &&
      h('span', { class: 'mark', 'data-state': state, role: 'img', 'aria-label': STATES[state], title: STATES[state] });
    const link = h(
      'a',
      { href: `/c/${encodeURIComponent(id)}`, 'data-id': id, 'data-focus': id, 'aria-current': current && 'page' },
      text,
      mark,
    );
    const more = h(
      'button',
      {
        type: 'button',
        class: 'icon-button',
        'data-focus': `${id} menu`,
        'aria-haspopup': 'menu',
        'aria-label': `Actions for ${name}`,
      },
      icon('more'),
    );
    more.addEventListener('click', () => openConversationMenu(more, conversation, actions));
    return h('li', { class: current ? 'item current' : 'item' }, link, more);
  }

  return { render };
}

// The list is drawn anew when it changes; whoever is in it with the keyboard must not be thrown out.
function keepingFocus(list, draw) {
  const key = list.contains(document.activeElement) && document.activeElement.dataset.focus;
  const { scrollTop } = list;
  draw();
  list.scrollTop = scrollTop;
  if (key) list.querySelector(`[data-focus="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}
