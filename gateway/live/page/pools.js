// The section of pools.

import { count, percentiles, rate } from './format.js';
import { keyed, Table } from './table.js';

const table = new Table('pools', 'Rates are of the last 10 s, latencies (p50 / p95 / p99) of the last minute.', [
  { title: 'Pool', value: (p) => p.name },
  { title: 'Ready', number: true, value: (p) => p.ready, text: (p) => p.ready + ' of ' + p.endpoints.length, mark: (p) => p.ready === 0 && 'bad' },
  { title: 'Queued', number: true, value: (p) => p.queued, text: (p) => count(p.queued) },
  { title: 'In flight', number: true, value: (p) => p.inFlight, text: (p) => count(p.inFlight) },
  { title: 'Requests/s', number: true, value: (p) => p.requests, text: (p) => rate(p.requests) },
  { title: 'Errors/s', number: true, value: (p) => p.errors, text: (p) => rate(p.errors), mark: (p) => p.errors > 0 && 'bad' },
  { title: 'Output tokens/s', number: true, value: (p) => p.outputTokens, text: (p) => rate(p.outputTokens) },
  { title: 'TTFT', number: true, wide: true, value: (p) => p.ttft?.p95, text: (p) => percentiles(p.ttft) },
  { title: 'TPOT', number: true, wide: true, value: (p) => p.tpot?.p95, text: (p) => percentiles(p.tpot) },
  { title: 'Balanced by', wide: true, value: (p) => p.policy },
], { empty: 'No pools.' });

export function showPools(s) {
  table.show(keyed(s.pools, (p) => p.name));
}
