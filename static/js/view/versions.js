// ‹2/3›: which version of a message is shown, and the way to the others.

import { button, h, setText } from '../lib/dom.js';
import { placeAmongVersions } from '../model/rows.js';

export class Versions {
  #place = h('span', { class: 'versions-place' });
  #back;
  #on;
  #message = null;

  constructor(actions) {
    const go = (step) => {
      const { id, versions } = this.#message;
      const wanted = versions[versions.indexOf(id) + step];
      if (wanted) actions.selectVersion(wanted);
    };
    this.#back = button('back', 'Earlier version', () => go(-1));
    this.#on = button('on', 'Later version', () => go(1));
    this.element = h('span', { class: 'versions', role: 'group', 'aria-label': 'Versions' });
    this.element.append(this.#back, this.#place, this.#on);
  }

  update(message) {
    this.#message = message;
    const place = message && placeAmongVersions(message);
    this.element.hidden = !place;
    if (!place) return;
    const [at, of] = place;
    setText(this.#place, `${at}/${of}`);
    // Not `disabled`: whoever has arrived at an end with the keyboard keeps the focus.
    this.#back.setAttribute('aria-disabled', String(at === 1));
    this.#on.setAttribute('aria-disabled', String(at === of));
  }
}
