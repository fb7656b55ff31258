// The state of the connection and of those behind it: quiet while all is well, plain words when not.

import { h, setText } from '../lib/dom.js';
import { Countdown, inSeconds } from './countdown.js';

const LABELS = { connecting: 'Connecting', online: 'Online', offline: 'Offline', expired: 'Session ended' };

const REASONS = {
  network: 'No connection to the server',
  unavailable: 'The server cannot reach its database',
  unauthorized: 'This browser does not keep the session cookie',
  rate_limited: 'Too many sessions or connections from here',
};

const EXPIRED = 'Your session has ended, and its conversations are out of reach. What you have typed is kept.';

// What is wrong behind a connection that works.
const WARNINGS = {
  no_worker: 'Nobody is there to answer: no worker is running. Messages wait until one does.',
  unavailable: 'The server cannot reach its database. Replies go on by themselves when it can.',
  read_only: 'The server’s database takes nothing new at the moment. Replies go on by themselves when it does.',
};

// How long a connection that is back is called that.
const BACK = 4000;

export function createStatus({ badge, label, strip, reason, retry, startOver }, actions) {
  // What has happened is told to a screen reader once; the seconds that are left are only to be seen.
  const words = h('span');
  const seconds = h('span', { 'aria-hidden': 'true' });
  const countdown = new Countdown(seconds);
  let shown = {};
  let timer;

  reason.append(words, seconds);
  retry.addEventListener('click', actions.retryConnection);
  startOver.addEventListener('click', actions.startOver);

  function render({ connection, warning }) {
    if (connection === shown.connection && warning === shown.warning) return;
    if (connection !== shown.connection) showBadge(connection);
    shown = { connection, warning };
    const { status, reason: code, until } = connection;
    const isAway = status === 'offline';
    const isDegraded = status === 'online' && warning !== null;
    strip.hidden = !(isAway || isDegraded || status === 'expired');
    retry.hidden = !isAway;
    startOver.hidden = status !== 'expired';
    if (isAway) setText(words, `${REASONS[code] ?? REASONS.network}; trying again`);
    else if (!strip.hidden) setText(words, isDegraded ? WARNINGS[warning] : EXPIRED);
    countdown.show((left) => (isAway ? `${inSeconds(left)}.` : ''), until);
  }

  function showBadge({ status, again }) {
    clearTimeout(timer);
    badge.dataset.status = status;
    setText(label, again ? 'Reconnected' : LABELS[status]);
    if (again) timer = setTimeout(() => setText(label, LABELS.online), BACK);
    badge.classList.toggle('again', again === true);
  }

  return { render };
}
