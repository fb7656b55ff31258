// The entry point: one application, the views that show it, and at most one drawing for each frame.

import { createApp } from './app/app.js';
import { byId } from './lib/dom.js';
import { createAnnouncer } from './view/announcer.js';
import { createComposer } from './view/composer.js';
import { createSidebar } from './view/sidebar.js';
import { createStatus } from './view/status.js';
import { bindTheme } from './view/theme.js';
import { createTopbar } from './view/topbar.js';
import { createTranscript } from './view/transcript.js';

const app = createApp();

const views = [
  createStatus(
    {
      badge: byId('status'),
      label: byId('status-label'),
      banner: byId('offline'),
      reason: byId('offline-reason'),
      retry: byId('offline-retry'),
    },
    app.actions,
  ),
  createSidebar(
    {
      sidebar: byId('sidebar'),
      list: byId('conversations'),
      scrim: byId('scrim'),
      main: byId('main'),
      openButton: byId('sidebar-open'),
      closeButton: byId('sidebar-close'),
    },
    app.actions,
  ),
  createTopbar({ title: byId('title'), menuButton: byId('conversation-menu') }, app.actions),
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
  ),
  createComposer(
    {
      form: byId('composer'),
      input: byId('input'),
      sendButton: byId('send'),
      stopButton: byId('stop'),
      memory: byId('memory'),
      model: byId('model'),
      notice: byId('notice'),
      noticeText: byId('notice-text'),
      dismiss: byId('notice-dismiss'),
    },
    app.actions,
  ),
  createAnnouncer(byId('announcer')),
];

bindTheme(byId('theme'));

let scheduled = false;

function schedule() {
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(draw);
}

function draw() {
  scheduled = false;
  const look = app.look();
  for (const view of views) view.render(look);
}

app.subscribe(schedule);
app.start();
delete document.documentElement.dataset.page;
draw();
