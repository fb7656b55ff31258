// Where a reply is that has not begun yet, or has begun anew: {words(seconds left), until?, revocable?} or null.

import { inSeconds } from './countdown.js';

// `until` is when a turn that waits is likely to begin, if anybody can say.
export function stageOf({ status, attempt, text, reasoning, retrying }, ahead, until = null) {
  if (retrying) return retryingStage(retrying);
  if (status === 'waiting') {
    return { words: (left) => placeInQueue(ahead) + about(left), until, revocable: true };
  }
  if (attempt > 1) return { words: () => 'Taken over by another worker, and begun anew' };
  return text || reasoning ? null : { words: () => 'Waiting for the first word' };
}

// How far something is that is still to be acknowledged. `connection` is its status.
export function wayOf({ note }, connection, behind, usually) {
  if (connection === 'expired') return { words: () => 'Not sent: the session has ended', revocable: true };
  if (connection !== 'online') return { words: () => 'Sent when there is a connection' };
  if (behind) return { words: () => 'Sent after the one before it', revocable: true };
  if (!note) return { words: () => usually };
  return { words: (left) => `${note.words}${inSeconds(left)}`, until: note.until, revocable: note.revocable };
}

const placeInQueue = (ahead) =>
  ahead === 0 ? 'Waiting to be answered' : `In the queue: ${ahead === 1 ? 'one reply' : `${ahead} replies`} before it`;

function about(seconds) {
  if (seconds <= 0) return '';
  return seconds < 100 ? `, about ${seconds} s` : `, about ${Math.round(seconds / 60)} min`;
}

// `at` is the server's clock; where that is far from ours, the delay counts from now.
function retryingStage({ reason, delay, at }) {
  const until = Math.min(Date.parse(at) || Infinity, Date.now()) + delay * 1000;
  const why = (reason || 'The model did not answer').replace(/\.$/, '');
  return { words: (left) => `${why}; trying again${inSeconds(left)}`, until };
}
