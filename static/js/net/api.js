// The few things that go over plain HTTP.

import { Refused } from './request.js';

const NO_CONNECTION = { code: 'network', message: 'There is no connection to the server.' };

async function call(path, { body, ...options } = {}) {
  const json = body === undefined ? {} : { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) };
  const response = await fetch(path, { credentials: 'same-origin', ...json, ...options }).catch(() => {
    throw new Refused(NO_CONNECTION);
  });
  if (response.status === 204) return null;
  const answer = await response.json().catch(() => null);
  if (response.ok && answer) return answer;
  // One that broke off is none.
  if (response.ok) throw new Refused(NO_CONNECTION);
  throw new Refused(answer?.error ?? { code: 'internal', message: `The server answered ${response.status}.` });
}

const conversation = (id) => `/api/conversations/${encodeURIComponent(id)}`;

// The answer sets the cookie that the connection is let in with.
export const createSession = () => call('/api/sessions', { method: 'POST', body: { name: 'Guest' } });

export const session = () => call('/api/session');

export const models = () => call('/api/models');

export const createConversation = (settings) => call('/api/conversations', { method: 'POST', body: settings });

export const importConversation = (exported) =>
  call('/api/conversations/import', { method: 'POST', body: exported });

export const exportPath = (id, format) => `${conversation(id)}/export?format=${format}`;

// Goes through even while the page is being closed.
export const deleteInPassing = (id) => call(conversation(id), { method: 'DELETE', keepalive: true });

export const search = (q, signal) => call(`/api/conversations?${new URLSearchParams({ q, limit: 30 })}`, { signal });

export const messagesBefore = (id, before) =>
  call(`${conversation(id)}/messages?${new URLSearchParams({ before, limit: 50 })}`);

// What the server says of its own parts, also when it is not well.
export async function health() {
  const response = await fetch('/readyz');
  return response.json();
}
