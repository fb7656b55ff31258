// Other versions of what was said: which of them is shown.

import { Refused, request } from '../net/request.js';
import { wordsFor } from '../model/words.js';

export function createBranches({ store, link, notify }) {
  // The new branch comes as an event, to all tabs alike.
  async function select(message_id) {
    const { lane } = store.get();
    try {
      await request(link, 'select_branch', { conversation_id: lane, message_id });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      notify.problem(lane, wordsFor(error));
    }
  }

  return { select };
}
