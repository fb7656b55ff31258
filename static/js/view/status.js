// The state of the connection: quiet while all is well, plain words when not.

import { setText } from '../lib/dom.js';

const LABELS = { connecting: 'Connecting', online: 'Online', offline: 'Offline' };

const REASONS = {
  network: 'No connection to the server; trying again.',
  unavailable: 'The server cannot reach its database; trying again.',
  unauthorized: 'This browser does not keep the session cookie; trying again.',
  rate_limited: 'Too many new sessions from here; trying again.',
};

export function createStatus({ badge, label, banner, reason, retry }, actions) {
  retry.addEventListener('click', actions.retryConnection);

  function render({ connection: { status, reason: code } }) {
    badge.dataset.status = status;
    setText(label, LABELS[status]);
    banner.hidden = status !== 'offline';
    if (status === 'offline') setText(reason, REASONS[code] ?? REASONS.network);
  }

  return { render };
}
