// One value, replaced as a whole, and those who want to know.

export function createStore(value) {
  const listeners = [];
  return {
    get: () => value,
    set(change) {
      value = { ...value, ...change };
      for (const listener of listeners) listener();
    },
    subscribe: (listener) => listeners.push(listener),
  };
}

export const initial = {
  connection: { status: 'connecting' },
  lane: null, // the open conversation's id, or the name of a new chat that has none yet
  log: null, // its events, folded
  missing: false, // it was asked for, and does not exist
  loadingOlder: false,
  outbox: [],
  waits: {}, // when turns that wait are likely to begin, by turn
  stopping: [], // turns that were asked to stop
  conversations: [],
  cursor: null, // where the list goes on
  search: { query: '', found: null }, // found is null until the server has answered; failure says why it could not
  unread: [], // conversations in which something ended while nobody looked
  removed: null, // {id, title, wasOpen}: deleted, and may still be had back
  warning: null, // what the server says is wrong with its parts: no_worker, unavailable or read_only
  catalogue: null, // providers and models
  newChat: { memory: true, provider: null, model: null },
  session: null, // what the server says of it, once asked
  drafts: {}, // what is typed and not sent, and which message is being written anew
  choices: {}, // settings changed and not yet acknowledged, by lane
  notices: {}, // what went wrong, by lane
};
