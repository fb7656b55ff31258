// The browser's storage, which never throws here: in private windows, or when it is full, the page goes on without it.
// Of all tabs together, or of this one.

const PREFIX = 'parley.';

// What fails lives on in memory.
function attempt(act, otherwise) {
  try {
    return act();
  } catch {
    return otherwise;
  }
}

// `area` may throw as well.
const over = (area) => ({
  read: (key) => attempt(() => JSON.parse(area().getItem(PREFIX + key)), null),
  write: (key, value) => attempt(() => area().setItem(PREFIX + key, JSON.stringify(value))),
  erase: (key) => attempt(() => area().removeItem(PREFIX + key)),
  keys: (start) =>
    attempt(() => Object.keys(area()), [])
      .filter((key) => key.startsWith(PREFIX + start))
      .map((key) => key.slice(PREFIX.length)),
});

const all = over(() => localStorage);

export const read = all.read;
export const write = all.write;
export const erase = all.erase;
export const keys = all.keys;

export const readAll = (start) => keys(start).map(read).filter(Boolean);

// `listener` hears each value that another tab writes there; null when it is erased.
export const onChange = (key, listener) =>
  addEventListener(
    'storage',
    (event) => event.key === PREFIX + key && listener(attempt(() => JSON.parse(event.newValue), null)),
  );

export const tab = over(() => sessionStorage);
