import assert from 'node:assert/strict';
import { test } from 'node:test';

import { factsOf } from '../../static/js/model/facts.js';

const REPLY = { status: 'done', text: 'Once upon', provider: 'p', model: 'm', memory: true, usage: null };

test('a reply that the provider cut off says so', () => {
  const words = (reply) => factsOf(reply).replaceAll('\u00a0', ' ');
  assert.equal(words(REPLY), 'm, p');
  assert.equal(words({ ...REPLY, finish_reason: 'length' }), 'Cut off: as long as the provider allows · m, p');
  assert.match(words({ ...REPLY, finish_reason: 'content_filter' }), /^Cut off by the provider’s filter · /);
});
