// Whether anybody is there to answer. Asked only while something waits, and until what is wrong is mended.

import * as api from '../net/api.js';

export function createHealth({ store }) {
  async function check() {
    const { connection, log, warning } = store.get();
    const waits = log?.state?.turns.some(({ text, reasoning }) => !text && !reasoning);
    if (connection.status !== 'online' || !(waits || warning)) return;
    await ask();
  }

  async function ask() {
    try {
      const { workers } = await api.health();
      store.set({ warning: workers === 0 ? 'no_worker' : null });
    } catch {
      // The connection's own state says it.
    }
  }

  return { check, ask };
}
