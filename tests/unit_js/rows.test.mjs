import assert from 'node:assert/strict';
import { test } from 'node:test';

import { apply, empty } from '../../static/js/model/conversation.js';
import { inLane, isShownBy, rerouted, stillToShow, unsent } from '../../static/js/model/outbox.js';
import { placeAmongVersions, rowsOf } from '../../static/js/model/rows.js';
import { stageOf } from '../../static/js/view/stage.js';
import { event, reply, story, user } from './events.mjs';

const after = (events) => events.reduce(apply, empty({ id: 'c' }));

const entry = (client_id, text, more = {}) => ({
  client_id,
  lane: 'c',
  conversation_id: 'c',
  event: 'send_message',
  target: null,
  text,
  after: null,
  message_id: null,
  turn_id: null,
  ...more,
});

const keys = (...of) => rowsOf(...of).map(({ key }) => key);

test('a streamed reply and the saved one are the same row, and so are versions of a message', () => {
  assert.deepEqual(keys(after(story().slice(0, 5)), []), ['said-null', 'reply-m1']);
  assert.deepEqual(keys(after(story()), []), ['said-null', 'reply-m1']);
});

test('queued turns stand after their messages, with the number of turns before them', () => {
  const queue = ['2', '3'].flatMap((n, index) => [
    event(0, 'message.created', { message: user(`m${n}`, `t${n}`, `r${n - 1}`) }),
    event(0, 'turn.queued', { turn_id: `t${n}`, message_id: `m${n}`, position: index + 1 }),
  ]);
  const rows = rowsOf(after([...story().slice(0, 5), ...queue]), []);
  assert.deepEqual(
    rows.map(({ key }) => key),
    ['said-null', 'reply-m1', 'said-r1', 'reply-m2', 'said-r2', 'reply-m3'],
  );
  assert.deepEqual(
    rows.filter(({ kind }) => kind === 'live').map(({ ahead }) => ahead),
    [0, 1, 2],
  );
});

test('while a message is answered anew, the new answer stands in place of the old one', () => {
  const again = [
    event(7, 'turn.queued', { turn_id: 't2', message_id: 'm1', position: 0 }),
    event(8, 'turn.started', { turn_id: 't2', attempt: 1 }),
  ];
  assert.deepEqual(keys(after([...story(), ...again]), []), ['said-null', 'reply-m1']);
});

test('with no conversation yet, what is being sent is all there is', () => {
  assert.deepEqual(keys(null, [entry('x', 'hi')]), ['sending-x']);
});

test('a message is shown once, whether its event or its acknowledgement is first', () => {
  const seen = { messages: [user('m1', 't1'), reply('r1', 'm1', 't1')], turns: [] };
  const sent = entry('x', 'question m1');
  assert.deepEqual(stillToShow([sent], { messages: [], turns: [] }), [sent]);
  assert.deepEqual(stillToShow([sent], seen), []);
  const acknowledged = { ...sent, message_id: 'm2', after: 'r1' };
  assert.deepEqual(stillToShow([acknowledged], seen), [acknowledged]);
  assert.deepEqual(stillToShow([acknowledged], { ...seen, messages: [...seen.messages, user('m2', 't2')] }), []);
});

test('the same words sent again are a message of their own', () => {
  const seen = { messages: [user('m1', 't1')], turns: [] };
  const [first, second] = [entry('x', 'question m1'), entry('y', 'question m1')];
  assert.deepEqual(stillToShow([first, second], seen), [second]);
  assert.deepEqual(stillToShow([{ ...second, after: 'm1' }], seen), [{ ...second, after: 'm1' }]);
});

test('an edited message stands in place of the old one and what followed it, before the server has heard of it', () => {
  const edited = entry('x', 'question m1', { event: 'edit_message', target: 'm1', after: null });
  assert.deepEqual(keys(after(story()), [edited]), ['sending-x']);
  const created = event(7, 'message.created', { message: user('m9', 't9', null) });
  const seen = after([...story(), created]);
  assert.deepEqual(keys(seen, [{ ...edited, message_id: 'm9', turn_id: 't9' }]), ['said-null']);
});

test('a reply that is wanted anew gives way at once, and its row is that of the new one', () => {
  const again = entry('x', null, { event: 'regenerate', target: 'r1', after: 'm1' });
  const acknowledged = { ...again, message_id: 'm1', turn_id: 't2' };
  for (const one of [again, acknowledged]) {
    const rows = rowsOf(after(story()), [one]);
    assert.deepEqual(
      rows.map(({ kind, key }) => [kind, key]),
      [
        ['user', 'said-null'],
        ['asked', 'reply-m1'],
      ],
    );
  }
  const queued = [...story(), event(7, 'turn.queued', { turn_id: 't2', message_id: 'm1', position: 0 })];
  for (const one of [again, acknowledged]) assert.deepEqual(keys(after(queued), [one]), ['said-null', 'reply-m1']);
  const done = event(8, 'turn.finished', { turn_id: 't2', status: 'done', message: reply('r2', 'm1', 't2') });
  assert.deepEqual(keys(after([...queued, done]), [acknowledged]), ['said-null', 'reply-m1']);
});

test('what was sent is over once the conversation has come that far, also if it shows another branch by then', () => {
  const sent = entry('x', null, { event: 'regenerate', target: 'r1', after: 'm1', epoch: 'e1', seq: 7 });
  const log = { id: 'c', epoch: 'e1', seq: 7 };
  assert.ok(isShownBy(log, sent));
  for (const other of [null, { ...log, seq: 6 }, { ...log, epoch: 'e2' }, { ...log, id: 'd' }]) {
    assert.ok(!isShownBy(other, sent));
  }
  assert.ok(!isShownBy(log, entry('y', 'not acknowledged')));
});

test('a turn on a branch that is not shown has no row', () => {
  const state = { ...after(story()), turns: [{ turn_id: 't5', message_id: 'elsewhere', status: 'running' }] };
  assert.deepEqual(keys(state, []), ['said-null', 'reply-m1']);
});

test('a message knows its place among its versions', () => {
  assert.deepEqual(placeAmongVersions({ id: 'b', versions: ['a', 'b', 'c'] }), [2, 3]);
  assert.equal(placeAmongVersions({ id: 'a', versions: ['a'] }), null);
  assert.equal(placeAmongVersions({ id: 'a' }), null);
});

test('what was queued in a new chat follows it into the conversation it became', () => {
  const outbox = [entry('x', 'a', { lane: 'new-1', conversation_id: null }), entry('y', 'b', { lane: 'new-2' })];
  const moved = rerouted(outbox, 'new-1', 'c9');
  assert.deepEqual(
    inLane(moved, 'c9').map(({ client_id, conversation_id }) => [client_id, conversation_id]),
    [['x', 'c9']],
  );
  assert.equal(unsent(moved, 'new-2').client_id, 'y');
});

test('a turn that waits says how long that is likely to be, as long as anybody can say', () => {
  const queued = [
    event(0, 'message.created', { message: user('m2', 't2', 'r1') }),
    event(0, 'turn.queued', { turn_id: 't2', message_id: 'm2', position: 1 }),
  ];
  const state = after([...story().slice(0, 5), ...queued]);
  const [running, waiting] = rowsOf(state, [], { waits: { t2: 5000 } }).filter(({ kind }) => kind === 'live');
  assert.deepEqual([running.until, waiting.until], [null, 5000]);
  const { words, until } = stageOf(waiting.turn, waiting.ahead, waiting.until);
  assert.equal(until, 5000);
  assert.equal(words(40), 'In the queue: one reply before it, about 40 s');
  assert.equal(words(290), 'In the queue: one reply before it, about 5 min');
  assert.equal(words(0), 'In the queue: one reply before it');
  assert.equal(stageOf(waiting.turn, 0).words(0), 'Waiting to be answered');
});

test('what was sent after a message that has to wait waits too, and says so', () => {
  const note = { words: 'Very busy', until: 1, revocable: true };
  const behind = (...entries) => rowsOf(null, entries).map((row) => row.behind);
  assert.deepEqual(behind(entry('x', 'one'), entry('y', 'two')), [false, false]);
  assert.deepEqual(behind(entry('x', 'one', { note }), entry('y', 'two')), [false, true]);
  assert.deepEqual(behind(entry('x', 'one', { message_id: 'm1' }), entry('y', 'two', { note })), [false, false]);
});
