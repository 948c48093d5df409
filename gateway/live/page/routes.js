// The section of routes.

import { count, percent } from './format.js';
import { keyed, Table } from './table.js';

const table = new Table('routes', 'The share of each target of a route’s split: by its weights, in the last minute, and since the start.', [
  { title: 'Route', value: (t) => t.route },
  { title: 'Takes', value: (t) => t.match || 'everything', wide: true },
  { title: 'Pool', value: (t) => t.pool, text: (t) => t.pool + (t.model ? ' as ' + t.model : '') },
  { title: 'Configured', number: true, value: (t) => t.configured, text: (t) => percent(t.configured) },
  { title: 'Last minute', number: true, value: (t) => t.measured, text: (t) => percent(t.measured) },
  { title: 'Since start', number: true, value: (t) => t.overall, text: (t) => percent(t.overall) },
  { title: 'Requests', number: true, value: (t) => t.requests, text: (t) => count(t.requests) },
], { empty: 'No routes.' });

export function showRoutes(s) {
  const targets = s.routes.flatMap((r) => r.targets.map((t) => ({ ...t, route: r.name, match: r.match })));
  table.show(keyed(targets, (t) => t.route + ' ' + t.pool + ' ' + t.model));
}
