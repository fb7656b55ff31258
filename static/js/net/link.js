// The connection, and the truth about its state. Socket.IO's own reconnection is off: it stops for good when the server
// refuses a session, and it cannot say when it will try again.

import { io } from '../../vendor/socket.io-client/socket.io.esm.min.js';
import { backoff } from '../lib/backoff.js';

const CONNECT_TIMEOUT = 10_000;
const ACK_TIMEOUT = 10_000;

export const CONNECTING = { status: 'connecting' };

export class Link {
  #socket;
  #createSession;
  #mayBegin;
  #onState;
  #tries = 0;
  #timer;
  #opening = false;
  #renewed = false;
  #waiting = new Set();
  #hasTried;

  // Resolves when the first attempt is over. Before, plain HTTP may be refused for want of a session.
  tried = new Promise((resolve) => (this.#hasTried = resolve));

  // createSession: makes a session, whose cookie the next attempt will carry.
  // mayBegin: whether that is to be done unasked. With a session's end, its conversations are out of reach.
  // onState: hears {status: 'connecting' | 'online' | 'expired'} or {status: 'offline', reason, until}.
  constructor({ createSession, mayBegin, onState, onEvent, onActivity }) {
    this.#createSession = createSession;
    this.#mayBegin = mayBegin;
    this.#onState = (state) => {
      this.#hasTried();
      onState(state);
    };
    this.#socket = io({
      autoConnect: false,
      reconnection: false,
      transports: ['websocket'],
      timeout: CONNECT_TIMEOUT,
    });
    this.#socket.on('connect', () => this.#connected());
    this.#socket.on('disconnect', () => this.#lost());
    this.#socket.on('connect_error', (error) => this.#refused(error));
    this.#socket.on('event', onEvent);
    this.#socket.on('activity', onActivity);
  }

  open() {
    clearTimeout(this.#timer);
    this.#opening = true;
    this.#socket.connect();
  }

  // Something says that it may work now: the network is back, the person is back.
  hurry() {
    if (this.#socket.connected || this.#opening) return;
    this.#tries = 0;
    this.open();
  }

  renew() {
    this.#socket.disconnect();
  }

  ready(signal) {
    if (this.#socket.connected) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const done = () => {
        signal?.removeEventListener('abort', abort);
        resolve();
      };
      const abort = () => {
        this.#waiting.delete(done);
        reject(signal.reason);
      };
      if (signal?.aborted) return reject(signal.reason);
      this.#waiting.add(done);
      signal?.addEventListener('abort', abort, { once: true });
    });
  }

  // The server's answer, or null when none came.
  async ask(event, payload) {
    try {
      return await this.#socket.timeout(ACK_TIMEOUT).emitWithAck(event, payload);
    } catch {
      return null;
    }
  }

  #connected() {
    this.#opening = false;
    this.#renewed = false;
    this.#tries = 0;
    this.#onState({ status: 'online' });
    for (const done of this.#waiting) done();
    this.#waiting.clear();
  }

  #lost() {
    this.#retry('network');
  }

  async #refused(error) {
    let reason = error.data?.code ?? 'network';
    let wait = millisecondsTo(error.data);
    if (reason === 'unauthorized' && !this.#renewed) {
      if (!this.#mayBegin()) {
        this.#opening = false;
        return this.#onState({ status: 'expired' });
      }
      try {
        await this.#createSession();
        // Once only: a browser that keeps no cookies would go round in circles.
        this.#renewed = true;
        return this.open();
      } catch (failure) {
        reason = failure.code ?? 'network';
        wait = millisecondsTo(failure);
      }
    }
    this.#renewed = false;
    this.#retry(reason, wait);
  }

  #retry(reason, wait = backoff(this.#tries)) {
    this.#opening = false;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.open(), wait);
    this.#tries += 1;
    this.#onState({ status: 'offline', reason, until: Date.now() + wait });
  }
}

const millisecondsTo = (error) => (error?.retry_after ? error.retry_after * 1000 : undefined);
