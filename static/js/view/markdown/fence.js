// A block of code that is still open and grows: as long as nothing in what was added could close it, there is no need to
// parse all of it again.

const HEAD = /^(`{3,}|~{3,})[^\n]*\n/;

// The block with `added` at its end, or null if only parsing can tell.
export function grown({ raw, token, links }, added) {
  const head = HEAD.exec(raw);
  if (!head) return null;
  const unfinished = raw.slice(raw.lastIndexOf('\n') + 1) + added;
  if (unfinished.includes(head[1])) return null;
  const whole = raw + added;
  return { raw: whole, token: { ...token, text: whole.slice(head[0].length).replace(/\n$/, '') }, links };
}
