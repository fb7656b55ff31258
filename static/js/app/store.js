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
  stopping: [], // turns that were asked to stop
  conversations: [],
  cursor: null, // where the list goes on
  catalogue: null, // providers and models
  newChat: { memory: true, provider: null, model: null },
  drafts: {}, // what is typed and not sent, by lane
  choices: {}, // settings changed and not yet acknowledged, by lane
  notices: {}, // what went wrong, by lane
};
