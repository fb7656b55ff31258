// The order of a conversation's events. An event counts only as the next one in its epoch; what comes twice is dropped,
// what comes too early is held. Pure: every function gives a new log.
//
// `gap` says that something is missing: ask the server for what comes after `position(log)`, which is everything once
// the state is stale. Events go on being held meanwhile, so that those which overtake the server's answer are not lost.

import { apply, empty, fromSnapshot } from './conversation.js';

export const closed = (id) => ({ id, epoch: null, seq: 0, state: null, held: [] });

// A conversation that this page has just begun: everything about it is still to come, from its first event on.
export const begun = (id, epoch, conversation) => ({ ...closed(id), epoch, state: empty(conversation) });

export const position = ({ epoch, seq, state }) => (epoch === null || state.stale ? {} : { after: seq, epoch });

export function receive(log, event) {
  if (log.epoch === null) return { log: hold(log, event), gap: false };
  if (event.epoch === log.epoch && event.seq <= log.seq) return { log, gap: false };
  if (event.epoch === log.epoch && event.seq === log.seq + 1) return release(step(log, event));
  return { log: hold(log, event), gap: true };
}

// `answer` is what the server said to open_conversation.
export function opened(log, answer) {
  if (answer.snapshot) return release(rebase(log, answer));
  if (answer.epoch !== log.epoch) return { log: { ...log, epoch: null }, gap: true };
  return release(answer.events.reduce((caught, event) => (isNext(caught, event) ? step(caught, event) : caught), log));
}

export const withState = (log, state) => (state === log.state ? log : { ...log, state });

const isNext = (log, event) => event.epoch === log.epoch && event.seq === log.seq + 1;

const step = (log, event) => ({ ...log, seq: event.seq, state: apply(log.state, event) });

const hold = (log, event) => ({ ...log, held: [...log.held, event] });

function rebase(log, { epoch, seq, snapshot }) {
  // Events that came while the server was answering can have carried us past its snapshot.
  if (epoch === log.epoch && seq < log.seq) return log;
  return { ...log, epoch, seq, state: fromSnapshot(snapshot, log.state) };
}

// Held events of another epoch are dropped: they are of the past, or the next one to come will say so.
function release(log) {
  const waiting = log.held.filter(({ epoch }) => epoch === log.epoch).sort((a, b) => a.seq - b.seq);
  let next = { ...log, held: [] };
  for (const event of waiting) {
    if (isNext(next, event)) next = step(next, event);
    else if (event.seq > next.seq) next = hold(next, event);
  }
  return { log: next, gap: next.held.length > 0 || next.state.stale };
}
