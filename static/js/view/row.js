// One row of the transcript. Each kind is built once and then told what has changed.

import { h, icon, setText } from '../lib/dom.js';
import { copyButton } from './copy.js';
import { Prose } from './markdown/prose.js';

export function createRow(kind, actions) {
  return kind === 'live' || kind === 'reply' ? new Reply(actions) : new Said();
}

// What the person said: exactly as typed. Also while it is still on its way.
class Said {
  #bubble = h('div', { class: 'bubble', dir: 'auto' });
  #note = h('p', { class: 'row-note', hidden: true });
  element = h('li', { class: 'row said' }, h('h2', { class: 'visually-hidden' }, 'You said'), this.#bubble, this.#note);

  update({ kind, message, entry }) {
    const sending = kind === 'sending';
    setText(this.#bubble, (message ?? entry).text);
    this.element.classList.toggle('sending', sending);
    this.#note.hidden = !sending || entry.message_id !== null;
    if (!this.#note.hidden) setText(this.#note, entry.note ?? 'Sending…');
  }
}

// A reply, from waiting in the queue until it is saved.
class Reply {
  #body = h('div', { class: 'prose', dir: 'auto' });
  #prose = new Prose(this.#body);
  #stage = h('p', { class: 'stage', hidden: true });
  #stageText = h('span');
  #cancel;
  #problem = h('p', { class: 'problem', hidden: true });
  #facts = h('span', { class: 'facts' });
  #foot;
  #article = h('article', {}, h('h2', { class: 'visually-hidden' }, 'Reply'), this.#body, this.#stage, this.#problem);
  #text = '';
  #turn = null;
  element = h('li', { class: 'row reply' }, this.#article);

  constructor(actions) {
    this.#cancel = h(
      'button',
      { type: 'button', class: 'button small', onclick: () => actions.stop(this.#turn) },
      'Cancel',
    );
    this.#stage.append(h('span', { class: 'pulse', 'aria-hidden': 'true' }), this.#stageText, this.#cancel);
    this.#foot = h(
      'div',
      { class: 'row-foot' },
      copyButton('Copy reply', () => this.#text),
      this.#facts,
    );
    this.element.append(this.#foot);
  }

  update(row) {
    const live = row.kind === 'live';
    const { text, turn_id } = live ? row.turn : row.message;
    this.#text = text ?? '';
    this.#turn = turn_id;
    this.#prose.update(this.#text, !live);
    this.#body.hidden = !this.#text;
    this.element.classList.toggle('streaming', live);
    this.#article.setAttribute('aria-busy', String(live));
    this.#foot.hidden = live;
    if (live) this.#showStage(row.turn, row.ahead);
    else this.#showResult(row.message);
  }

  #showStage(turn, ahead) {
    const stage = stageOf(turn, ahead);
    this.#stage.hidden = !stage;
    this.#problem.hidden = true;
    this.#cancel.hidden = turn.status !== 'waiting';
    if (stage) setText(this.#stageText, stage);
  }

  #showResult({ status, error, text, provider, model, memory }) {
    this.#stage.hidden = true;
    this.#problem.hidden = status !== 'failed';
    if (status === 'failed') {
      this.#problem.replaceChildren(icon('warning'), h('span', {}, error?.message ?? 'The reply failed.'));
    }
    const facts = [
      status === 'stopped' && 'Stopped',
      model && nameOf(provider, model),
      memory === false && 'without memory',
    ];
    const unheard = status === 'stopped' && !text;
    setText(this.#facts, unheard ? 'Stopped before the first word' : facts.filter(Boolean).join(' · '));
    this.#foot.classList.toggle('wordless', !text);
  }
}

const nameOf = (provider, model) => (provider ? `${model}, ${provider}` : model);

function stageOf({ status, attempt, text, retrying }, ahead) {
  if (retrying) return retryingWords(retrying);
  if (status === 'waiting') return ahead ? `Waiting: ${ahead} before it` : 'Waiting to be answered';
  if (text) return null;
  return attempt > 1 ? 'Beginning again after an interruption' : 'Thinking';
}

function retryingWords({ reason, delay }) {
  const when = delay >= 1 ? ` in ${Math.round(delay)} s` : '';
  return `${reason || 'The model did not answer'}; trying again${when}`;
}
