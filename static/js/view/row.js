// One row of the transcript. Each kind is built once and then told what has changed.

import { Reply } from './reply.js';
import { Said } from './said.js';

const KINDS = { user: Said, sending: Said, asked: Reply, live: Reply, reply: Reply };

export const createRow = (kind, actions) => new KINDS[kind](actions);
