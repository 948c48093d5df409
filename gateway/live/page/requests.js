// The section of requests underway.

import { byId, setText } from './dom.js';
import { count, none, seconds } from './format.js';
import { keyed, Table } from './table.js';

const table = new Table('requests', 'The oldest 100. Those that an endpoint had before anybody watched appear when their response goes on.', [
  { title: 'Request', value: (r) => r.id || none },
  { title: 'Phase', value: (r) => r.phase },
  { title: 'Age', number: true, value: (r) => r.age, text: (r) => seconds(r.age) },
  { title: 'Tokens', number: true, value: (r) => r.tokens, text: (r) => count(r.tokens) },
  { title: 'Endpoint', wide: true, value: (r) => r.endpoint || none },
  { title: 'Pool', value: (r) => r.pool },
  { title: 'Route', value: (r) => r.route },
  { title: 'Model', value: (r) => r.model || none },
], { empty: 'None is listed.' });

export function showRequests(s) {
  const phases = { queued: 0, waiting: 0, streaming: 0 };
  s.requests.forEach((r) => phases[r.phase]++);
  setText(byId('phases'), count(s.active) + ' underway. Of those listed, ' + phases.queued + ' are queued, ' + phases.waiting +
    ' wait for their first token and ' + phases.streaming + ' stream.' + (s.unlisted > 0 ? ' ' + count(s.unlisted) + ' more are not listed.' : ''));
  table.show(keyed(s.requests, (r) => r.id));
}
