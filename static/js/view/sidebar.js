// The list of conversations beside the chat; on a narrow screen, a drawer over it.

import * as storage from '../lib/storage.js';
import { createConversationList } from './conversation-list.js';

const KEPT = 'sidebar';

const WIDE = matchMedia('(min-width: 56rem)');

export function createSidebar(parts, actions) {
  const { sidebar, shell, scrim, main, openButton, closeButton, search } = parts;
  const list = createConversationList(parts, actions);
  let isDrawerOpen = false;
  let isFolded = storage.read(KEPT) === 'folded';

  function show() {
    const isDrawer = !WIDE.matches;
    const isSeen = isDrawer ? isDrawerOpen : !isFolded;
    sidebar.classList.toggle('open', isDrawer && isDrawerOpen);
    shell.classList.toggle('folded', !isDrawer && isFolded);
    sidebar.inert = !isSeen;
    main.inert = isDrawer && isDrawerOpen;
    scrim.hidden = !(isDrawer && isDrawerOpen);
    openButton.hidden = !isDrawer && !isFolded;
    openButton.setAttribute('aria-expanded', String(isSeen));
  }

  function setOpen(open) {
    if (WIDE.matches) {
      isFolded = !open;
      storage.write(KEPT, open ? 'open' : 'folded');
    } else {
      isDrawerOpen = open;
    }
    show();
  }

  function open() {
    setOpen(true);
    closeButton.focus();
  }

  function close() {
    setOpen(false);
    openButton.focus();
  }

  const toggle = () => (sidebar.inert ? open() : close());

  const closeDrawer = () => isDrawerOpen && close();

  openButton.addEventListener('click', open);
  closeButton.addEventListener('click', close);
  scrim.addEventListener('click', close);
  sidebar.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || event.target.closest('[popover]')) return;
    if (event.target === search && search.value) {
      actions.search('');
      event.preventDefault();
    } else if (isDrawerOpen) {
      event.preventDefault();
      close();
    }
  });
  search.addEventListener('input', () => actions.search(search.value));
  WIDE.addEventListener('change', () => {
    isDrawerOpen = false;
    show();
  });
  show();

  // Links, so that they can be opened in a tab of their own; a plain click stays on the page.
  sidebar.addEventListener('click', (event) => {
    const link = event.target.closest('a');
    if (!link || event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    event.preventDefault();
    closeDrawer();
    if (!link.dataset.id) actions.startNew();
    else actions.open(link.dataset.id);
  });

  function render(look) {
    if (search.value !== look.search.query) search.value = look.search.query;
    list.render(look);
  }

  return { render, toggle };
}
