import assert from 'node:assert/strict';
import { test } from 'node:test';

import { begun, closed, opened, position, receive, withState } from '../../static/js/model/log.js';
import { event, reply, snapshot, story, user } from './events.mjs';

const fresh = () => begun('c', 'e1', { id: 'c' });

const feed = (log, events) => events.reduce((now, one) => receive(now, one).log, log);

const finished = feed(fresh(), story()).state;

test('events in order are applied', () => {
  assert.deepEqual(
    finished.messages.map(({ text }) => text),
    ['question m1', 'Hello'],
  );
  assert.deepEqual(finished.turns, []);
});

test('an event that comes twice counts once', () => {
  const twice = story().flatMap((one) => [one, one]);
  const { log, gap } = receive(feed(fresh(), twice), story()[3]);
  assert.deepEqual(log.state, finished);
  assert.equal(gap, false);
});

test('events in any order give the same in the end', () => {
  const events = story();
  for (let round = 0; round < 200; round += 1) {
    const shuffled = events
      .flatMap((one) => (round % 2 ? [one] : [one, one]))
      .map((one, index) => [(index * 7919 + round * 104729) % 997, one])
      .sort(([a], [b]) => a - b)
      .map(([, one]) => one);
    const log = feed(fresh(), shuffled);
    assert.deepEqual(log.state, finished);
    assert.equal(log.seq, 6);
    assert.deepEqual(log.held, []);
  }
});

test('a missing event is a gap, and nothing after it is applied until it is here', () => {
  const [first, , third] = story();
  const { log, gap } = receive(receive(fresh(), first).log, third);
  assert.equal(gap, true);
  assert.equal(log.seq, 1);
  assert.deepEqual(position(log), { after: 1, epoch: 'e1' });
});

test('the answer to a gap and the events that overtook it are put together', () => {
  const [one, two, three, four, five, six] = story();
  const broken = feed(fresh(), [one, four, six]);
  const { log, gap } = opened(broken, { epoch: 'e1', seq: 5, events: [two, three, four, five] });
  assert.equal(gap, false);
  assert.deepEqual(log.state, finished);
});

test('an answer that still leaves a hole is a gap again', () => {
  const [one, two, , four] = story();
  const { log, gap } = opened(feed(fresh(), [one, four]), { epoch: 'e1', seq: 2, events: [two] });
  assert.equal(gap, true);
  assert.equal(log.seq, 2);
});

test('events that come before the first answer are held and applied after it', () => {
  const [, , , four, five, six] = story();
  const waiting = feed(closed('c'), [five, four]);
  assert.equal(waiting.state, null);
  assert.deepEqual(position(waiting), {});
  const turns = [{ turn_id: 't1', message_id: 'm1', status: 'running', attempt: 1, text: '' }];
  const { log, gap } = opened(waiting, {
    epoch: 'e1',
    seq: 3,
    snapshot: snapshot({ messages: [user('m1', 't1')], turns }),
  });
  assert.equal(gap, false);
  assert.equal(log.state.turns[0].text, 'Hello');
  assert.deepEqual(receive(log, six).log.state.messages, finished.messages);
});

test('a snapshot that has been overtaken is ignored', () => {
  const log = feed(fresh(), story());
  const { log: after } = opened(log, { epoch: 'e1', seq: 3, snapshot: snapshot() });
  assert.deepEqual(after.state, finished);
});

test('another epoch is a gap; its snapshot replaces everything, and what is left of the old one is dropped', () => {
  const log = feed(fresh(), story());
  const strange = receive(log, event(2, 'turn.delta', { turn_id: 't9', text: 'x' }, 'e2'));
  assert.equal(strange.gap, true);
  assert.deepEqual(strange.log.state, finished);
  const { log: moved, gap } = opened(strange.log, {
    epoch: 'e2',
    seq: 1,
    snapshot: snapshot({ messages: [user('m7', 't7')] }),
  });
  assert.equal(gap, false);
  assert.equal(moved.seq, 2);
  const late = receive(moved, event(7, 'turn.delta', { turn_id: 't1', text: 'late' }));
  assert.equal(late.gap, true);
  assert.equal(opened(late.log, { epoch: 'e2', seq: 2, events: [] }).gap, false);
});

test('events of an epoch that is not ours make the page ask for all of it', () => {
  const { log, gap } = opened(feed(fresh(), story()), { epoch: 'e2', seq: 9, events: [] });
  assert.equal(gap, true);
  assert.deepEqual(position(log), {});
});

test('conversations do not see each other: interleaved events are told apart by those who feed the logs', () => {
  const other = story().map((one) => ({ ...one, conversation_id: 'd' }));
  let [c, d] = [fresh(), begun('d', 'e1', { id: 'd' })];
  story().forEach((one, index) => {
    c = receive(c, one).log;
    d = receive(d, other[index]).log;
  });
  assert.deepEqual(c.state.messages, d.state.messages);
});

test('nothing is changed in place', () => {
  const log = feed(fresh(), story().slice(0, 4));
  const before = structuredClone(log);
  feed(log, story().slice(4));
  opened(log, { epoch: 'e1', seq: 9, snapshot: snapshot({ messages: [reply('r9', 'm9', 't9')] }) });
  assert.deepEqual(log, before);
  assert.equal(withState(log, log.state), log);
});

test('another branch is a gap that only a snapshot closes', () => {
  const chosen = event(7, 'conversation.updated', { conversation: { id: 'c' }, head: 'r0' });
  const { log, gap } = receive(feed(fresh(), story()), chosen);
  assert.equal(gap, true);
  assert.deepEqual(position(log), {});
  const messages = [user('m1', 't1'), reply('r0', 'm1', 't0')];
  const closing = opened(log, { epoch: 'e1', seq: 7, snapshot: snapshot({ messages }) });
  assert.equal(closing.gap, false);
  assert.deepEqual(closing.log.state.messages, messages);
  assert.deepEqual(position(closing.log), { after: 7, epoch: 'e1' });
  const late = opened(log, { epoch: 'e1', seq: 6, snapshot: snapshot() });
  assert.equal(late.gap, true);
});
