// Errors in words for the person who reads them.

const WORDS = {
  queue_full: 'Too many messages are waiting in this conversation. Wait for a reply, then send again.',
  rate_limited: 'That was a lot at once. Please try again in a moment.',
  unavailable: 'The server cannot reach its database; trying again.',
  busy: 'The server is very busy; trying again.',
  unauthorized: 'Your session has ended.',
  internal: 'Something went wrong on the server. Please try again.',
};

export const wordsFor = ({ code, message }) => WORDS[code] ?? message ?? WORDS.internal;

// What is being waited out, for the row of the message that waits; a countdown is put after it.
const WAITS = {
  rate_limited: 'That was a lot at once; sent by itself',
  queue_full: 'Too many messages are waiting here; tried again',
  busy: 'The server is very busy; tried again',
  unavailable: 'The server cannot reach its database; tried again',
  unauthorized: 'The session has ended; sent',
};

export const waitFor = ({ code }) => WAITS[code] ?? 'The server has not answered yet; tried again';

// Only what was refused for sure can be taken back.
export const isRefusal = ({ code }) => ['rate_limited', 'queue_full', 'busy'].includes(code);
