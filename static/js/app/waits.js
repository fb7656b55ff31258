// How long the open conversation's waiting turns are likely to wait: asked a moment after one has come or gone, and again
// when a quarter of it has passed.

const FIRST = 1_000;
const SHORTEST = 5_000;

export function createWaits({ store, link }) {
  let timer;
  let known = '';

  const waiting = () => (store.get().log?.state?.turns ?? []).filter(({ status }) => status === 'waiting');

  function look() {
    const now = waiting()
      .map(({ turn_id }) => turn_id)
      .join();
    if (now === known) return;
    known = now;
    askIn(FIRST);
  }

  function askIn(milliseconds) {
    clearTimeout(timer);
    if (known) timer = setTimeout(ask, milliseconds);
  }

  async function ask() {
    const { log, connection } = store.get();
    const answer =
      connection.status === 'online' ? await link.ask('list_turns', { conversation_id: log.id }) : null;
    const told = (answer?.ok ? answer.turns : []).filter(({ wait }) => wait);
    store.set({ waits: Object.fromEntries(told.map(({ turn_id, wait }) => [turn_id, Date.now() + wait * 1000])) });
    const soonest = told.length ? Math.min(...told.map(({ wait }) => wait * 1000)) : 0;
    askIn(Math.max(SHORTEST, soonest / 4));
  }

  store.subscribe(look);
}
