import assert from 'node:assert/strict';
import { test } from 'node:test';

import { backoff } from '../../static/js/lib/backoff.js';
import { Refused, request } from '../../static/js/net/request.js';

// A link that gives these answers one by one; null is silence.
function linkWith(...answers) {
  const link = { asked: [], renewed: 0 };
  link.ready = async (signal) => signal?.throwIfAborted();
  link.ask = async (name, payload) => {
    link.asked.push(payload);
    return answers.shift();
  };
  link.renew = () => {
    link.renewed += 1;
  };
  return link;
}

const refusal = (code, more) => ({ ok: false, error: { code, message: code, ...more } });

const pauses = () => {
  const waited = [];
  return { waited, pause: async (milliseconds) => waited.push(milliseconds) };
};

test('the very same is sent again until it is acknowledged', async () => {
  const link = linkWith(null, refusal('busy'), refusal('unavailable'), { ok: true, seq: 4 });
  const payload = { client_id: 'x' };
  const heard = [];
  const answer = await request(link, 'send_message', payload, { ...pauses(), onPause: ({ code }) => heard.push(code) });
  assert.equal(answer.seq, 4);
  assert.deepEqual(link.asked, [payload, payload, payload, payload]);
  assert.deepEqual(heard, ['no_answer', 'busy', 'unavailable']);
});

test('the server says how long to wait', async () => {
  const { waited, pause } = pauses();
  await request(linkWith(refusal('busy', { retry_after: 3 }), { ok: true }), 'x', {}, { pause });
  assert.deepEqual(waited, [3000]);
});

test('a limit is waited out, if the server says for how long', async () => {
  for (const code of ['rate_limited', 'queue_full']) {
    const { waited, pause } = pauses();
    const heard = [];
    const onPause = (error, milliseconds) => heard.push([error.code, milliseconds]);
    await request(linkWith(refusal(code, { retry_after: 7 }), { ok: true }), 'x', {}, { pause, onPause });
    assert.deepEqual([waited, heard], [[7000], [[code, 7000]]]);
  }
});

test('a final no is final', async () => {
  for (const code of ['rate_limited', 'queue_full', 'invalid', 'too_large', 'not_found', 'conflict', 'internal']) {
    const link = linkWith(refusal(code, { field: 'text' }), { ok: true });
    await assert.rejects(
      request(link, 'x', {}, pauses()),
      (error) => error instanceof Refused && error.code === code && error.field === 'text',
    );
    assert.equal(link.asked.length, 1);
  }
});

test('a connection that stays silent, or a session that has ended, is renewed', async () => {
  const silent = linkWith(null, null, { ok: true });
  await request(silent, 'x', {}, pauses());
  assert.equal(silent.renewed, 1);
  const expired = linkWith(refusal('unauthorized'), { ok: true });
  await request(expired, 'x', {}, pauses());
  assert.equal(expired.renewed, 1);
});

test('who has left does not go on asking', async () => {
  const leave = new AbortController();
  const link = linkWith(null, { ok: true });
  await assert.rejects(request(link, 'x', {}, { signal: leave.signal, pause: async () => leave.abort() }), {
    name: 'AbortError',
  });
  assert.equal(link.asked.length, 1);
});

test('what was done although its sender had left is not called undone', async () => {
  const leave = new AbortController();
  const link = linkWith();
  link.ask = async () => {
    leave.abort();
    return { ok: true };
  };
  assert.deepEqual(await request(link, 'x', {}, { ...pauses(), signal: leave.signal }), { ok: true });
});

test('a payload that depends on the moment is made for each attempt', async () => {
  let seq = 0;
  const link = linkWith(null, { ok: true });
  await request(link, 'x', () => ({ after: (seq += 1) }), pauses());
  assert.deepEqual(link.asked, [{ after: 1 }, { after: 2 }]);
});

test('pauses grow, differ by chance and have an end', () => {
  assert.equal(
    backoff(0, () => 1),
    500,
  );
  assert.equal(
    backoff(0, () => 0),
    250,
  );
  assert.equal(
    backoff(3, () => 1),
    4000,
  );
  assert.equal(
    backoff(40, () => 1),
    15_000,
  );
});
