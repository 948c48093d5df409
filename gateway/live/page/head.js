// The page's head: what gateway it is, and how it is.

import { byId, setAttribute, setText } from './dom.js';
import { count, seconds } from './format.js';

export function showHead(s) {
  const state = byId('state');
  setText(state, s.state);
  setAttribute(state, 'data-state', s.state);
  document.title = 'Penstock: ' + s.state;
  setText(byId('about'), 'Version ' + s.version + ', up for ' + seconds((Date.parse(s.time) - Date.parse(s.started)) / 1000) +
    ', configuration ' + s.configGeneration + ', ' + count(s.connections) + ' client connections' + (s.window > 0 && s.window < 55 ? '. Latencies are of the last ' + s.window.toFixed(0) + ' s so far.' : ''));
}

export function showNotReached() {
  setText(byId('state'), 'not reached');
}
