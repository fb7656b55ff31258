// Words with the seconds that are left: `words(9)` each second, until there are none.

import { setText } from '../lib/dom.js';

const TICK = 250;

export class Countdown {
  #element;
  #timer = null;
  #until = null;
  #words;

  constructor(element) {
    this.#element = element;
  }

  // `until` is a time in milliseconds, or null: then there is nothing to count.
  show(words, until = null) {
    this.#words = words;
    this.#until = until;
    this.#tick();
    if (this.#left() > 0) this.#timer ??= setInterval(() => this.#tick(), TICK);
    else this.stop();
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #left = () => (this.#until === null ? 0 : Math.max(0, Math.ceil((this.#until - Date.now()) / 1000)));

  #tick() {
    const left = this.#left();
    setText(this.#element, this.#words(left));
    if (left === 0 || !this.#element.isConnected) this.stop();
  }
}

export const inSeconds = (left) => (left > 0 ? ` in ${left} s` : ' now');
