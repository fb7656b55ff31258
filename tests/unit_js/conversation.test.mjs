import assert from 'node:assert/strict';
import { test } from 'node:test';

import { apply, empty, fromSnapshot, withOlder } from '../../static/js/model/conversation.js';
import { event, reply, snapshot, story, user } from './events.mjs';

const after = (events, state = empty({ id: 'c' })) => events.reduce(apply, state);

const ids = ({ messages }) => messages.map(({ id }) => id);

test('a later attempt clears what was streamed', () => {
  const state = after([...story().slice(0, 5), event(6, 'turn.started', { turn_id: 't1', attempt: 2 })]);
  assert.equal(state.turns[0].text, '');
  assert.equal(state.turns[0].attempt, 2);
});

test('the saved message replaces what was streamed', () => {
  const saved = reply('r1', 'm1', 't1', { text: 'Something else' });
  const state = after([
    ...story().slice(0, 5),
    event(6, 'turn.finished', { turn_id: 't1', status: 'done', message: saved }),
  ]);
  assert.deepEqual(state.messages[1], saved);
});

test('a reply stands after its question, whatever was queued meanwhile', () => {
  const queued = [
    event(6, 'message.created', { message: user('m2', 't2', 'm1') }),
    event(7, 'turn.queued', { turn_id: 't2', message_id: 'm2', position: 1 }),
  ];
  const done = event(8, 'turn.finished', { turn_id: 't1', status: 'done', message: reply('r1', 'm1', 't1') });
  const state = after([...story().slice(0, 5), ...queued, done]);
  assert.deepEqual(ids(state), ['m1', 'r1', 'm2']);
  assert.deepEqual(
    state.turns.map(({ turn_id }) => turn_id),
    ['t2'],
  );
});

test('another answer to the same question takes the place of the first', () => {
  const again = event(7, 'turn.finished', { turn_id: 't3', status: 'done', message: reply('r2', 'm1', 't3') });
  assert.deepEqual(ids(after([...story(), again])), ['m1', 'r2']);
});

test('a failure that saved nothing is still shown, with what had been written', () => {
  const error = { code: 'upstream', message: 'The provider is down.' };
  const state = after([
    ...story().slice(0, 5),
    event(6, 'turn.finished', { turn_id: 't1', status: 'failed', message: null, error }),
  ]);
  assert.equal(state.messages[1].text, 'Hello');
  assert.deepEqual(state.messages[1].error, error);
});

test('waiting to try again is over with the next word', () => {
  const retrying = after([
    ...story().slice(0, 3),
    event(4, 'turn.retrying', { turn_id: 't1', reason: '503', delay: 2 }),
  ]);
  assert.deepEqual(retrying.turns[0].retrying, { reason: '503', delay: 2 });
  assert.equal(after([event(5, 'turn.delta', { turn_id: 't1', text: 'a' })], retrying).turns[0].retrying, null);
});

test('a turn that was never announced finds its question by itself', () => {
  const state = after([
    event(1, 'message.created', { message: user('m1', 't1') }),
    event(2, 'turn.delta', { turn_id: 't1', text: 'a' }),
  ]);
  assert.equal(state.turns[0].message_id, 'm1');
});

test('cleared, deleted, updated, and what nobody knows yet', () => {
  const full = after(story());
  const cleared = apply(full, event(7, 'conversation.cleared', { conversation: { id: 'c', title: 'x' } }));
  assert.deepEqual([cleared.messages, cleared.turns, cleared.conversation.title], [[], [], 'x']);
  assert.equal(apply(full, event(7, 'conversation.deleted')).deleted, true);
  assert.equal(
    apply(full, event(7, 'conversation.updated', { conversation: { id: 'c', title: 'y' } })).conversation.title,
    'y',
  );
  assert.equal(apply(full, event(7, 'something.new')), full);
});

test('a snapshot in mid-reply has the text so far', () => {
  const turns = [{ turn_id: 't1', message_id: 'm1', status: 'running', attempt: 1, text: 'Half of' }];
  const state = fromSnapshot(snapshot({ messages: [user('m1', 't1')], turns }), null);
  assert.equal(after([event(9, 'turn.delta', { turn_id: 't1', text: ' it' })], state).turns[0].text, 'Half of it');
});

test('older messages stay when a snapshot overlaps with them, and go when it does not', () => {
  const known = fromSnapshot(snapshot({ messages: ['a', 'b', 'c'].map((id) => user(id, id)), more: true }), null);
  const overlapping = snapshot({ messages: ['b', 'c', 'd'].map((id) => user(id, id)), more: true });
  assert.deepEqual(ids(fromSnapshot(overlapping, { ...known, more: false })), ['a', 'b', 'c', 'd']);
  assert.equal(fromSnapshot(overlapping, { ...known, more: false }).more, false);
  assert.deepEqual(ids(fromSnapshot(snapshot({ messages: [user('z', 'z')] }), known)), ['z']);
  assert.deepEqual(ids(fromSnapshot(snapshot(), known)), []);
});

test('a page of older messages goes in front, unless the conversation has changed meanwhile', () => {
  const known = fromSnapshot(snapshot({ messages: [user('c', 'c')], more: true }), null);
  const page = { messages: [user('a', 'a'), user('b', 'b')], more: false };
  assert.deepEqual(ids(withOlder(known, 'c', page)), ['a', 'b', 'c']);
  assert.equal(withOlder(known, 'x', page), known);
});
