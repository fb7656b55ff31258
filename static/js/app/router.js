// The address bar: / is a new chat, /c/<id> a conversation.

const PATH = /^\/c\/([^/]+)\/?$/;

export function currentId() {
  const found = PATH.exec(location.pathname);
  return found ? decodeURIComponent(found[1]) : null;
}

export const pathOf = (id) => (id === null ? '/' : `/c/${encodeURIComponent(id)}`);

export function go(id, { replace = false } = {}) {
  if (pathOf(id) === location.pathname) return;
  history[replace ? 'replaceState' : 'pushState'](null, '', pathOf(id));
}

export const onMove = (listener) => addEventListener('popstate', () => listener(currentId()));
