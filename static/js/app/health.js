// Whether anybody is there to answer. Asked only while a reply makes no progress, and until what is wrong is mended.

import * as api from '../net/api.js';

// A reply that has said nothing for this long may have nobody who writes it, or nobody who keeps it.
const QUIET = 4_000;

// In a database that takes no writes, no worker can show itself.
function warningOf({ redis, workers }) {
  if (redis !== 'ok') return redis === 'unreachable' ? 'unavailable' : 'read_only';
  return workers === 0 ? 'no_worker' : null;
}

export function createHealth({ store, reading }) {
  async function check() {
    const { connection, warning } = store.get();
    if (connection.status !== 'online' || !(reading.silence() >= QUIET || warning)) return;
    await ask();
  }

  async function ask() {
    try {
      store.set({ warning: warningOf(await api.health()) });
    } catch {
      // The connection's own state says it.
    }
  }

  return { check, ask };
}
