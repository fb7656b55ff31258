// A reply, from waiting in the queue until it is saved.

import { button, h, icon, setText } from '../lib/dom.js';
import { factsOf } from '../model/facts.js';
import { copyButton } from './copy.js';
import { Countdown } from './countdown.js';
import { Prose } from './markdown/prose.js';
import { Reasoning } from './reasoning.js';
import { stageOf, wayOf } from './stage.js';
import { Versions } from './versions.js';

export class Reply {
  #actions;
  #reasoning = new Reasoning();
  #body = h('div', { class: 'prose' });
  #prose = new Prose(this.#body);
  #stageText = h('span');
  #countdown = new Countdown(this.#stageText);
  #cancel;
  #stage;
  #problemText = h('span');
  #problem;
  #versions;
  #again;
  #facts = h('span', { class: 'facts' });
  #foot;
  #article;
  #text = '';
  #message = null;
  #takeBack = null;
  element = h('div', { class: 'row reply', role: 'listitem' });

  constructor(actions) {
    this.#actions = actions;
    this.#cancel = h(
      'button',
      { type: 'button', class: 'button small', onclick: () => this.#takeBack() },
      'Remove',
    );
    this.#stage = h(
      'p',
      { class: 'stage' },
      h('span', { class: 'pulse', 'aria-hidden': 'true' }),
      this.#stageText,
      this.#cancel,
    );
    const again = () => actions.regenerate(this.#message);
    this.#problem = h(
      'div',
      { class: 'problem' },
      icon('warning'),
      this.#problemText,
      h('button', { type: 'button', class: 'button small', onclick: again }, 'Try again'),
    );
    this.#versions = new Versions(actions);
    this.#again = button('again', 'Answer again', again);
    this.#foot = h(
      'div',
      { class: 'row-foot' },
      this.#versions.element,
      copyButton('Copy reply', () => this.#text),
      this.#again,
      this.#facts,
    );
    const heading = h('h2', { class: 'visually-hidden' }, 'Reply');
    this.#article = h('article', {}, heading, this.#reasoning.element, this.#body, this.#stage, this.#problem);
    this.element.append(this.#article, this.#foot);
  }

  get isBehind() {
    return this.#prose.isBehind;
  }

  // `entry`: it is asked for, and the server has not said yes. `turn`: it waits or is written. `message`: it is saved.
  update({ entry = null, turn = null, message = null, ahead, until, connection, behind }) {
    const live = !message;
    const { text, reasoning } = message ?? turn ?? {};
    this.#text = text ?? '';
    this.#message = message;
    this.#reasoning.update(reasoning ?? '', live && !this.#text);
    this.#prose.update(this.#text, !live);
    this.#body.hidden = !this.#text;
    this.element.classList.toggle('streaming', live);
    this.element.classList.toggle('waiting', turn?.status === 'waiting');
    if (live) this.element.classList.add('streamed');
    this.#article.setAttribute('aria-busy', String(live));
    this.#foot.hidden = live;
    if (entry) {
      const way = wayOf(entry, connection, behind, 'Asking again…');
      this.#showStage(way, () => this.#actions.takeBack(entry.client_id));
    } else this.#showStage(turn && stageOf(turn, ahead, until), () => this.#actions.stop(turn.turn_id));
    if (!live) this.#showResult(message);
    else this.#problem.hidden = true;
  }

  #showStage(stage, takeBack) {
    this.#takeBack = takeBack;
    this.#stage.hidden = !stage;
    if (!stage) return this.#countdown.stop();
    this.#cancel.hidden = !stage.revocable;
    this.#countdown.show(stage.words, stage.until);
  }

  #showResult(message) {
    const { status, error, text } = message;
    const failed = status === 'failed';
    this.#problem.hidden = !failed;
    if (failed) setText(this.#problemText, error?.message ?? 'The reply failed.');
    this.#versions.update(message);
    this.#again.hidden = failed;
    setText(this.#facts, factsOf(message));
    this.#foot.classList.toggle('wordless', !text);
    this.#foot.classList.toggle('bare', !text && failed && this.#versions.element.hidden);
  }
}
