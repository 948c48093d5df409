// The dashboard shows what debug/live sends, and keeps nothing but the view: filter, order, page. Each file here is a section of the page, or what
// sections are made of, and what it keeps nobody else changes.

import { onResume, paused, showConnection } from './connection.js';
import { showNotReached } from './head.js';
import { watch } from './stream.js';
import { hideTokenForm } from './token.js';
import { showAll, snapshot, take } from './view.js';

onResume(showAll);
watch({
  take,
  heard(whole) {
    hideTokenForm();
    showConnection('');
    if (whole && !paused) showAll();
  },
  lost(why) {
    showConnection('Not live: ' + why + '. Trying again.', true);
    if (!snapshot) showNotReached();
  },
});
