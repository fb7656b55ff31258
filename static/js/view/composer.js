// Where messages are written and sent, with the settings they are sent under.

import { h, setText } from '../lib/dom.js';
import { choiceOf, groupsOf, sameChoice } from '../model/models.js';
import { HAS_KEYBOARD } from './focus.js';

// Safari ends the composition before it tells of the key that ended it; only this old code gives it away.
const COMPOSING = 229;

export function createComposer(
  { form, input, tooLong, sendButton, stopButton, memory, model, notice, noticeText, dismiss, editStrip, editCancel },
  actions,
  look,
) {
  let stoppable = null;
  let last = null; // what the person said last
  let isEditing = false;
  let offered = {};
  let written = null;
  let arrived = null;

  form.addEventListener('submit', (event) => {
    event.preventDefault();
    if (!tooLong.textContent) actions.send();
    input.focus();
  });
  input.addEventListener('input', () => actions.type(input.value));
  input.addEventListener('keydown', (event) => {
    // A busy page may still show what was sent or left since: the key is meant for what belongs there now.
    const { draft } = look();
    if (draft !== input.value) write(draft);
    // While an input method is composing, its keys are its own.
    if (event.isComposing || event.keyCode === COMPOSING) return;
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      form.requestSubmit();
    } else if (event.key === 'ArrowUp' && !input.value && last && !isEditing) {
      event.preventDefault();
      actions.edit(last);
    }
  });
  // Esc, wherever the focus is: a menu, a question or the drawer closes first.
  addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || event.shiftKey || event.isComposing || event.defaultPrevented) return;
    if (document.querySelector('dialog[open], [popover]:popover-open')) return;
    if (isEditing) actions.stopEditing();
    else if (stoppable) actions.stop(stoppable);
  });
  stopButton.addEventListener('click', () => {
    actions.stop(stoppable);
    input.focus();
  });
  editCancel.addEventListener('click', () => {
    actions.stopEditing();
    input.focus();
  });
  memory.addEventListener('click', () => actions.choose({ memory: memory.getAttribute('aria-checked') !== 'true' }));
  model.addEventListener('change', () => actions.choose(JSON.parse(model.value)));
  dismiss.addEventListener('click', actions.dismiss);

  function render({ lane, log, draft, editing, settings, catalogue, stopping, notice: words, missing }) {
    form.hidden = missing;
    write(draft);
    arriveIn(lane, editing);
    editStrip.hidden = editing === null;

    const turn = log?.state?.turns[0];
    last = log?.state?.messages.findLast(({ role }) => role === 'user') ?? null;
    stoppable = turn && !stopping.includes(turn.turn_id) ? turn.turn_id : null;
    stopButton.hidden = !turn;
    // With nothing to send, the one thing to do with a running reply is to stop it.
    sendButton.hidden = turn !== undefined && !draft.trim();
    stopButton.disabled = stoppable === null;

    // What a conversation has chosen is not known before it is open.
    const isKnown = 'memory' in settings;
    for (const choice of [memory, model.closest('.model')]) choice.classList.toggle('unknown', !isKnown);
    if (isKnown) memory.setAttribute('aria-checked', String(settings.memory !== false));
    if ('model' in settings) renderModels(settings, catalogue);

    notice.hidden = !words;
    if (words) setText(noticeText, words);
  }

  function renderModels(settings, catalogue) {
    const chosen = choiceOf(settings, catalogue);
    if (catalogue === offered.catalogue && sameChoice(chosen, offered.chosen)) return;
    offered = { catalogue, chosen };
    const groups = groupsOf(catalogue, chosen).map(({ name, models }) =>
      h('optgroup', { label: name }, ...models.map((one) => option(name, one, chosen))),
    );
    model.replaceChildren(...groups);
    model.closest('.model').hidden = !groups.length;
  }

  function write(draft) {
    // A busy page may not have been drawn since the last letter was typed.
    if (draft === written && draft === input.value) return;
    written = draft;
    if (input.value !== draft) input.value = draft;
    setText(tooLong, excess(draft.trim(), input.dataset.limit));
    sendButton.disabled = !draft.trim() || tooLong.textContent !== '';
    // As high as the text, up to the limit that the style sheet sets.
    input.style.height = 'auto';
    input.style.height = `${input.scrollHeight}px`;
  }

  function arriveIn(lane, editing) {
    const begun = editing !== null && !isEditing;
    isEditing = editing !== null;
    const moved = lane !== arrived;
    arrived = lane;
    const at = document.activeElement;
    const writesElsewhere = at !== input && at?.matches('input, select, textarea');
    // To edit is to want to write; to look at a conversation on a phone is not.
    if (begun && !moved) input.focus();
    else if (moved && HAS_KEYBOARD.matches && !writesElsewhere) input.focus({ preventScroll: true });
  }

  return { render };
}

// Told before it is sent, and in the server's way of counting.
function excess(text, limit) {
  const length = text.length > limit ? [...text].length : 0;
  const [has, may] = [length, Number(limit)].map((count) => count.toLocaleString('en'));
  return length > limit ? `Too long to be sent: ${has} characters, at most ${may} are taken.` : '';
}

function option(provider, model, chosen) {
  const choice = { provider, model };
  return h('option', { value: JSON.stringify(choice), selected: sameChoice(choice, chosen) }, model);
}
