// Errors in words for the person who reads them.

const WORDS = {
  not_found: 'This conversation is not here any more.',
  conflict: 'Something else changed this conversation at the same moment. Please try again.',
  queue_full: 'Too many messages are waiting in this conversation. Wait for a reply, then send again.',
  unavailable: 'The server cannot reach its database; trying again.',
  busy: 'The server is very busy; trying again.',
  unauthorized: 'Your session has ended; starting a new one.',
  internal: 'Something went wrong on the server. Please try again.',
};

export function wordsFor({ code, message, retry_after }) {
  if (code === 'rate_limited') {
    const when = retry_after ? `in ${Math.ceil(retry_after)} s` : 'in a moment';
    return `That was a lot at once. Please send it again ${when}.`;
  }
  return WORDS[code] ?? message ?? WORDS.internal;
}
