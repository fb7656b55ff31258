// The entry point: one application, the views that show it, and at most one drawing for each frame; less where that would
// keep the page too busy to be used.

import { createApp } from './app/app.js';
import { byId } from './lib/dom.js';
import { createAnnouncer } from './view/announcer.js';
import { createComposer } from './view/composer.js';
import { createFocus } from './view/focus.js';
import { bindKeyboard } from './view/keyboard.js';
import { bindMoreMenu } from './view/more-menu.js';
import { createSidebar } from './view/sidebar.js';
import { createStatus } from './view/status.js';
import { bindTheme } from './view/theme.js';
import { createTopbar } from './view/topbar.js';
import { createTranscript } from './view/transcript.js';
import { createUndo } from './view/undo.js';

const app = createApp();

const sidebar = createSidebar(
  {
    sidebar: byId('sidebar'),
    shell: byId('shell'),
    list: byId('conversations'),
    search: byId('search'),
    scrim: byId('scrim'),
    main: byId('main'),
    openButton: byId('sidebar-open'),
    closeButton: byId('sidebar-close'),
  },
  app.actions,
);

const views = [
  createStatus(
    {
      badge: byId('status'),
      label: byId('status-label'),
      strip: byId('trouble'),
      reason: byId('trouble-reason'),
      retry: byId('trouble-retry'),
      startOver: byId('start-over'),
    },
    app.actions,
  ),
  sidebar,
  createTopbar(
    { title: byId('title'), menuButton: byId('conversation-menu'), instructButton: byId('instruct') },
    app.actions,
  ),
  createTranscript(
    {
      scroller: byId('scroller'),
      content: byId('transcript'),
      list: byId('rows'),
      empty: byId('empty'),
      loading: byId('loading'),
      missing: byId('missing'),
      older: byId('older'),
      jump: byId('jump'),
    },
    app.actions,
    schedule,
  ),
  createComposer(
    {
      form: byId('composer'),
      input: byId('input'),
      tooLong: byId('too-long'),
      sendButton: byId('send'),
      stopButton: byId('stop'),
      memory: byId('memory'),
      model: byId('model'),
      notice: byId('notice'),
      noticeText: byId('notice-text'),
      dismiss: byId('notice-dismiss'),
      editStrip: byId('edit-strip'),
      editCancel: byId('edit-cancel'),
    },
    app.actions,
    app.look,
  ),
  createUndo({ toast: byId('undo'), text: byId('undo-text'), button: byId('undo-button') }, app.actions),
  createAnnouncer(byId('announcer')),
];

bindTheme(byId('theme'));
bindMoreMenu(byId('more'), app.actions, app.look);
bindKeyboard({ actions: app.actions, input: byId('input'), toggleSidebar: sidebar.toggle });

const focus = createFocus({ input: byId('input'), main: byId('main') });

// While a reply is written, a drawing that took longer than this is followed by a rest half as long. A longer one would
// save little: what comes meanwhile is then drawn in one go.
const QUICK = 12;
const MAX_REST = 100;

let scheduled = false;
let resting = false;

function schedule() {
  if (scheduled) return;
  scheduled = true;
  if (!resting) requestAnimationFrame(draw);
}

function draw() {
  const began = performance.now();
  scheduled = false;
  // What asks for another drawing meanwhile gets it after the rest.
  resting = true;
  const look = app.look();
  focus.keep(() => views.forEach((view) => view.render(look)));
  if (!look.log?.state?.turns.length) return goOn();
  // The frame's layout and paint, which come before any timer, are part of it.
  setTimeout(() => {
    const took = performance.now() - began;
    if (took <= QUICK) goOn();
    else setTimeout(goOn, Math.min(took / 2, MAX_REST));
  });
}

function goOn() {
  resting = false;
  if (scheduled) requestAnimationFrame(draw);
}

app.subscribe(schedule);
app.start();
delete document.documentElement.dataset.page;
draw();
