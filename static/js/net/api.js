// The few things that go over plain HTTP.

import { Refused } from './request.js';

async function call(path, options) {
  const response = await fetch(path, { credentials: 'same-origin', ...options });
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  throw new Refused(body.error ?? { code: 'internal', message: `The server answered ${response.status}.` });
}

// The answer sets the cookie that the connection is let in with.
export const createSession = () =>
  call('/api/sessions', {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify({ name: 'Guest' }),
  });

export const models = () => call('/api/models');

export const messagesBefore = (conversation_id, before) =>
  call(
    `/api/conversations/${encodeURIComponent(conversation_id)}/messages?${new URLSearchParams({ before, limit: 50 })}`,
  );
