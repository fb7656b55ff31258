// Conversations by date, or those that were found, each with what is going on in it.

import { button, h } from '../lib/dom.js';
import { dayGroup } from '../lib/time.js';
import { openConversationMenu } from './conversation-menu.js';

const MARKS = { running: 'Replying', waiting: 'Waiting', failed: 'Failed', unread: 'Something new' };

const SHOWN = ['conversations', 'cursor', 'lane', 'search', 'unread', 'removed'];

export function createConversationList({ list }, actions) {
  let shown = {};
  const onMore = actions.moreConversations;
  const moreButton = h('button', { type: 'button', class: 'button quiet', onclick: onMore }, 'Show more');
  let items = new Map(); // by conversation: who has opened a menu there comes back to the same button

  function render(look) {
    if (SHOWN.every((part) => same(look[part], shown[part]))) return;
    shown = look;
    const { search } = look;
    const before = items;
    items = new Map();
    const itemFor = (conversation, ...rest) => {
      const { id } = conversation;
      items.set(id, before.get(id) ?? new Item(id, actions));
      return items.get(id).update(conversation, ...rest);
    };
    keepingFocus(list, () => list.replaceChildren(...(search.query.trim() ? found : all)(look, itemFor)));
  }

  function all({ conversations, cursor, lane, unread }, itemFor) {
    if (!conversations.length) return [h('p', { class: 'list-empty' }, 'Your conversations will be listed here.')];
    const groups = Map.groupBy(conversations, ({ updated_at }) => dayGroup(updated_at));
    const parts = [...groups].map(([name, members]) => group(name, members, lane, unread, itemFor));
    return cursor ? [...parts, moreButton] : parts;
  }

  function found({ search, lane, unread, removed }, itemFor) {
    const none = (words) => [h('p', { class: 'list-empty', role: 'status' }, words)];
    if (search.failure) return none(`The search failed. ${search.failure}`);
    if (!search.found) return [h('p', { class: 'list-empty' }, 'Searching…')];
    const conversations = search.found.filter(({ id }) => id !== removed?.id);
    return conversations.length ? [group('Found', conversations, lane, unread, itemFor)] : none('Nothing was found.');
  }

  function group(name, members, lane, unread, itemFor) {
    const rows = members.map((one) => itemFor(one, one.id === lane, unread.includes(one.id)));
    return h('section', { class: 'list-group' }, h('h2', {}, name), h('ul', {}, ...rows));
  }

  return { render };
}

class Item {
  #conversation = null;
  #shown = [];
  #link;
  #more;
  #element;

  constructor(id, actions) {
    this.#link = h('a', { href: `/c/${encodeURIComponent(id)}`, 'data-id': id });
    this.#more = button('more', '', () => openConversationMenu(this.#more, this.#conversation, actions));
    this.#more.setAttribute('aria-haspopup', 'menu');
    this.#element = h('li', { class: 'item' }, this.#link, this.#more);
  }

  // Of hundreds, one or two change at a time.
  update(...look) {
    if (look.some((part, at) => part !== this.#shown[at])) this.#draw(...look);
    this.#shown = look;
    return this.#element;
  }

  #draw(conversation, current, isUnread) {
    this.#conversation = conversation;
    const { title, match } = conversation;
    const name = title || 'New chat';
    const state = isUnread && conversation.state === 'idle' ? 'unread' : conversation.state;
    const mark = MARKS[state];
    this.#element.classList.toggle('current', current);
    if (current) this.#link.setAttribute('aria-current', 'page');
    else this.#link.removeAttribute('aria-current');
    const parts = [
      h('span', { class: 'item-title', dir: 'auto' }, name),
      match && h('span', { class: 'item-match', dir: 'auto' }, match.text),
      mark && h('span', { class: 'mark', 'data-state': state, role: 'img', 'aria-label': mark, title: mark }),
    ];
    this.#link.replaceChildren(...parts.filter(Boolean));
    this.#more.setAttribute('aria-label', `Actions for ${name}`);
    this.#more.title = `Actions for ${name}`;
  }
}

// The list that is shown is filtered anew for each look: what counts is what is in it.
const same = (a, b) => a === b || (Array.isArray(a) && a.length === b?.length && a.every((one, at) => one === b[at]));

// The list is drawn anew when it changes; whoever is in it with the keyboard must not be thrown out.
function keepingFocus(list, draw) {
  const held = list.contains(document.activeElement) ? document.activeElement : null;
  const { scrollTop } = list;
  draw();
  list.scrollTop = scrollTop;
  if (held?.isConnected) held.focus({ preventScroll: true });
}
