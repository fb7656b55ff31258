// crypto.randomUUID exists only on https and localhost; the page also has to work at a plain http address in a home
// network.
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}
