// Conversations by date, or those that were found, each with what is going on in it.

import { button, h } from '../lib/dom.js';
import { dayGroup } from '../lib/time.js';
import { openConversationMenu } from './conversation-menu.js';

const MARKS = { running: 'Replying', waiting: 'Waiting', failed: 'Failed', unread: 'Something new' };

const SHOWN = ['conversations', 'cursor', 'lane', 'search', 'unread'];

export function createConversationList({ list }, actions) {
  let shown = {};

  function render(look) {
    if (SHOWN.every((part) => same(look[part], shown[part]))) return;
    shown = look;
    const { search } = look;
    keepingFocus(list, () => list.replaceChildren(...(search.query.trim() ? found(look) : all(look))));
  }

  function all({ conversations, cursor, lane, unread }) {
    if (!conversations.length) return [h('p', { class: 'list-empty' }, 'Your conversations will be listed here.')];
    const groups = Map.groupBy(conversations, ({ updated_at }) => dayGroup(updated_at));
    const parts = [...groups].map(([name, members]) => group(name, members, lane, unread));
    if (!cursor) return parts;
    const onclick = actions.moreConversations;
    return [...parts, h('button', { type: 'button', class: 'button quiet', onclick }, 'Show more')];
  }

  function found({ search: { found: conversations }, lane, unread }) {
    if (!conversations) return [h('p', { class: 'list-empty' }, 'Searching…')];
    const none = h('p', { class: 'list-empty', role: 'status' }, 'Nothing was found.');
    return conversations.length ? [group('Found', conversations, lane, unread)] : [none];
  }

  function group(name, members, lane, unread) {
    const items = members.map((one) => item(one, one.id === lane, unread.includes(one.id)));
    return h('section', { class: 'list-group' }, h('h2', {}, name), h('ul', {}, ...items));
  }

  function item(conversation, current, isUnread) {
    const { id, title, match } = conversation;
    const name = title || 'New chat';
    const state = isUnread && conversation.state === 'idle' ? 'unread' : conversation.state;
    const mark = MARKS[state];
    const link = h(
      'a',
      { href: `/c/${encodeURIComponent(id)}`, 'data-id': id, 'data-focus': id, 'aria-current': current && 'page' },
      h('span', { class: 'item-title', dir: 'auto' }, name),
      match ? h('span', { class: 'item-match', dir: 'auto' }, match.text) : null,
      mark ? h('span', { class: 'mark', 'data-state': state, role: 'img', 'aria-label': mark, title: mark }) : null,
    );
    const more = button('more', `Actions for ${name}`, () => openConversationMenu(more, conversation, actions));
    more.setAttribute('aria-haspopup', 'menu');
    more.dataset.focus = `${id} menu`;
    return h('li', { class: current ? 'item current' : 'item' }, link, more);
  }

  return { render };
}

// The list that is shown is filtered anew for each look: what counts is what is in it.
const same = (a, b) => a === b || (Array.isArray(a) && a.length === b?.length && a.every((one, at) => one === b[at]));

// The list is drawn anew when it changes; whoever is in it with the keyboard must not be thrown out.
function keepingFocus(list, draw) {
  const key = list.contains(document.activeElement) && document.activeElement.dataset.focus;
  const { scrollTop } = list;
  draw();
  list.scrollTop = scrollTop;
  if (key) list.querySelector(`[data-focus="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
}
