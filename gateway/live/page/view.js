// What was received last, and the page that it makes.

import { showEndpoints, takePools } from './endpoints.js';
import { showEvents, takeEvents } from './events.js';
import { showFigures, takeHistory, takePoint } from './figures.js';
import { showHead } from './head.js';
import { showPools } from './pools.js';
import { showRequests } from './requests.js';
import { showRoutes } from './routes.js';

export let snapshot = null;

// take takes a message in, which showAll shows. The first events of a stream are all that there are.
export function take(name, data, first) {
  switch (name) {
    case 'history': takeHistory(data); break;
    case 'events': takeEvents(data, first); break;
    case 'snapshot':
      takePoint(data.now);
      takePools(data.pools);
      snapshot = data;
  }
}

export function showAll() {
  showEvents();
  if (!snapshot) return;
  const s = snapshot;
  showHead(s);
  showFigures(s);
  showPools(s);
  showEndpoints();
  showRoutes(s);
  showRequests(s);
}
