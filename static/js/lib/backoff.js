// Half of each pause is chance, so that a thousand pages do not come back to a restarted server in the same instant.
export function backoff(tries, random = Math.random) {
  const whole = Math.min(15_000, 500 * 2 ** tries);
  return whole * (0.5 + random() / 2);
}

export function sleep(milliseconds, signal) {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const abort = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', abort);
      resolve();
    }, milliseconds);
    signal?.addEventListener('abort', abort, { once: true });
  });
}
