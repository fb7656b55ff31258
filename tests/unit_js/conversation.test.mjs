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
    event(6, 'message.created', { message: user('m2', 't2', 'r1') }),
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
  const at = '2030-01-01T00:00:00Z';
  assert.deepEqual(retrying.turns[0].retrying, { reason: '503', delay: 2, at });
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

const talk = () => [
  ...story(),
  event(7, 'message.created', { message: user('m2', 't2', 'r1') }),
  event(8, 'turn.queued', { turn_id: 't2', message_id: 'm2', position: 0 }),
  event(9, 'turn.finished', { turn_id: 't2', status: 'done', message: reply('r2', 'm2', 't2') }),
];

test('a message that is answered anew is the end of what is shown', () => {
  const state = after([...talk(), event(10, 'turn.queued', { turn_id: 't3', message_id: 'm1', position: 0 })]);
  assert.deepEqual(ids(state), ['m1']);
  assert.equal(state.stale, false);
  const versions = ['r1', 'r3'];
  const saved = reply('r3', 'm1', 't3', { versions });
  const done = after([event(11, 'turn.finished', { turn_id: 't3', status: 'done', message: saved })], state);
  assert.deepEqual(done.messages.at(-1).versions, versions);
  assert.deepEqual(ids(done), ['m1', 'r3']);
});

test('an edited message begins another branch where the old one stood', () => {
  const second = event(10, 'message.created', { message: user('m2b', 't3', 'r1') });
  assert.deepEqual(ids(after([...talk(), second])), ['m1', 'r1', 'm2b']);
  const first = event(10, 'message.created', { message: user('m1b', 't3', null) });
  assert.deepEqual(ids(after([...talk(), first])), ['m1b']);
});

test('a message after an earlier reply cuts what came after that', () => {
  const earlier = [...talk(), event(10, 'message.created', { message: user('m3', 't3', 'r2') })];
  const branched = event(11, 'message.created', { message: user('m4', 't4', 'r2') });
  assert.deepEqual(ids(after([...earlier, branched])), ['m1', 'r1', 'm2', 'r2', 'm4']);
});

test('another branch, or one that goes off from what was never loaded, asks for a new snapshot', () => {
  const chosen = event(10, 'conversation.updated', { conversation: { id: 'c' }, head: 'r2' });
  assert.equal(after([...talk(), chosen]).stale, true);
  assert.equal(after([...talk(), event(10, 'conversation.updated', { conversation: { id: 'c' } })]).stale, false);
  assert.equal(after([...talk(), event(10, 'turn.queued', { turn_id: 't3', message_id: 'old' })]).stale, true);
  assert.equal(after([...talk(), event(10, 'message.created', { message: user('m9', 't9', 'old') })]).stale, true);
});

test('a reply on a branch that is not shown is not shown', () => {
  const elsewhere = event(10, 'turn.finished', { turn_id: 't9', status: 'done', message: reply('r9', 'm9', 't9') });
  assert.deepEqual(ids(after([...talk(), elsewhere])), ['m1', 'r1', 'm2', 'r2']);
});

test('reasoning grows beside the reply, and a later attempt clears both', () => {
  const thinking = [4, 5].map((seq) => event(seq, 'turn.reasoning', { turn_id: 't1', text: `${seq} ` }));
  const state = after([...story().slice(0, 3), ...thinking, event(6, 'turn.delta', { turn_id: 't1', text: 'So' })]);
  assert.deepEqual([state.turns[0].reasoning, state.turns[0].text], ['4 5 ', 'So']);
  const anew = after([event(7, 'turn.started', { turn_id: 't1', attempt: 2 })], state);
  assert.deepEqual([anew.turns[0].reasoning, anew.turns[0].text], ['', '']);
});

test('what a reply has used is added to what the conversation has', () => {
  const usage = { input_tokens: 7, output_tokens: 11, cost: 0.5 };
  const finished = event(6, 'turn.finished', { turn_id: 't1', status: 'done', message: null, usage });
  const state = [finished, finished].reduce(apply, empty({ id: 'c' }));
  assert.deepEqual(state.conversation.usage, { input_tokens: 14, output_tokens: 22, cost: 1 });
});
