// One request is repeated, the very same, until the server has said yes or a final no. What is sent this way must
// therefore be safe to repeat: messages carry a client_id, the rest changes nothing the second time.

import { backoff, sleep } from '../lib/backoff.js';

const NO_ANSWER = { code: 'no_answer', message: 'The server has not answered yet; trying again.' };

const PASSING = new Set(['unavailable', 'busy', 'unauthorized', NO_ANSWER.code]);

// These are waited out if the server says for how long.
const LIMITS = new Set(['rate_limited', 'queue_full']);

// Two answers in a row that do not come: the connection looks open and is not.
const SILENCES = 2;

export class Refused extends Error {
  constructor(error) {
    super(error.message);
    Object.assign(this, error);
  }
}

// `link` has ready(signal), ask(event, payload) and renew(). A payload that is a function is made anew for each
// attempt. `onPause` hears of each error that is waited out, and for how many milliseconds.
export async function request(link, event, payload, { signal, onPause, pause = sleep } = {}) {
  let silences = 0;
  for (let tries = 0; ; tries += 1) {
    await link.ready(signal);
    const answer = await link.ask(event, typeof payload === 'function' ? payload() : payload);
    // Also to who has left meanwhile: it is done.
    if (answer?.ok) return answer;
    signal?.throwIfAborted();

    const error = answer?.error ?? NO_ANSWER;
    if (!PASSING.has(error.code) && !(LIMITS.has(error.code) && error.retry_after)) throw new Refused(error);
    const wait = error.retry_after ? error.retry_after * 1000 : backoff(tries);
    onPause?.(error, wait);

    silences = error === NO_ANSWER ? silences + 1 : 0;
    if (error.code === 'unauthorized' || silences === SILENCES) {
      silences = 0;
      link.renew();
    }
    await pause(wait, signal);
  }
}
