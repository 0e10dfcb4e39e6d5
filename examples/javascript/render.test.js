import assert from 'node:assert/strict';
import { test } from 'node:test';

import { render } from './render.js';

test('gaps are filled in by path', () => {
  const { text, missing } = render('Dear {{user.name}}, {{ n }} of {{list}}', { user: { name: 'Ada' }, n: 2, list: [1] });
  assert.equal(text, 'Dear Ada, 2 of [1]');
  assert.deepEqual(missing, []);
});

test('what is missing is named once, and nothing inherited is found', () => {
  assert.deepEqual(render('{{a}} {{a}} {{toString}}', {}), { text: '  ', missing: ['a', 'toString'] });
});
