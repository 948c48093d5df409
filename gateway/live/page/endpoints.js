// The section of endpoints, with its filter and its pages.

import { byId, make, setAttribute, setText } from './dom.js';
import { count, percent, seconds } from './format.js';
import { keyed, Table } from './table.js';

const table = new Table('endpoints', 'Shares are of the pool’s picks: in the last 10 s, and since the start. Waiting, KV cache and their age are the endpoint’s own words.', [
  { title: 'Endpoint', value: (e) => e.address },
  { title: 'Pool', value: (e) => e.pool },
  { title: 'State', wide: true, value: (e) => e.state, text: (e) => e.state, fill: stateCell },
  { title: 'In flight', number: true, value: (e) => e.inFlight || 0, text: (e) => count(e.inFlight || 0) },
  { title: 'Waiting', number: true, value: (e) => e.waiting, text: (e) => count(e.waiting) },
  { title: 'KV cache', number: true, value: (e) => e.kvCache, text: (e) => percent(e.kvCache) },
  { title: 'Age', number: true, value: (e) => e.signalAge, text: (e) => seconds(e.signalAge), mark: (e) => e.signalAge > 10 && 'bad' },
  { title: 'Share, 10 s', number: true, value: (e) => e.recent, text: (e) => percent(e.recent) },
  { title: 'Share', number: true, value: (e) => e.share, text: (e) => percent(e.share) },
  { title: 'Requests', number: true, value: (e) => e.requests || 0, text: (e) => count(e.requests || 0) },
], { sort: { column: 0, descending: false }, changed: () => turnTo(0), empty: 'No endpoints.' });

// stateCell shows a state by word, shape and colour, and why.
function stateCell(cell, item) {
  if (!cell.firstChild) cell.append(make('span', { class: 'state' }));
  setAttribute(cell.firstChild, 'data-state', item.state);
  setText(cell.firstChild, item.state + (item.cause ? ': ' + item.cause : ''));
}

const pageSize = 50;
let page = 0;
let pools = null; // as they were received last

// takePools takes what is shown next: with the next snapshot, or sooner where somebody filters, sorts or turns the page.
export function takePools(all) {
  pools = all;
}

export function showEndpoints() {
  const all = keyed(pools.flatMap((p) => p.endpoints.map((e) => ({ ...e, pool: p.name }))), (e) => e.pool + ' ' + e.address);
  showPoolChoice(pools);
  const text = byId('find').value.trim().toLowerCase();
  const pool = byId('pool').value, state = byId('condition').value;
  const found = table.ordered(all.filter((e) => (!pool || e.pool === pool) && (!state || e.state === state) &&
    (!text || (e.address + ' ' + e.pool + ' ' + (e.cause || '')).toLowerCase().includes(text))));
  const pages = Math.max(1, Math.ceil(found.length / pageSize));
  page = Math.min(page, pages - 1);
  table.show(found.slice(page * pageSize, (page + 1) * pageSize));
  setText(byId('matches'), found.length === all.length ? count(all.length) + ' endpoints' : count(found.length) + ' of ' + count(all.length) + ' endpoints');
  if (pages === 1 && byId('pager').contains(document.activeElement)) byId('find').focus(); // rather than nowhere
  byId('pager').hidden = pages === 1;
  setText(byId('page'), 'Page ' + (page + 1) + ' of ' + pages);
  // A button that is disabled would lose the focus.
  setAttribute(byId('previous'), 'aria-disabled', String(page === 0));
  setAttribute(byId('next'), 'aria-disabled', String(page === pages - 1));
}

function showPoolChoice(all) {
  const choice = byId('pool');
  const names = ['', ...all.map((p) => p.name)];
  if (names.length === choice.options.length && names.every((name, i) => choice.options[i].value === name)) return;
  const chosen = choice.value;
  choice.replaceChildren(...names.map((name) => make('option', { value: name, text: name || 'all' })));
  choice.value = names.includes(chosen) ? chosen : '';
}

// turnTo shows another page, or the same one otherwise, and tells screen readers what there is: they asked for it, which they do not for what
// each snapshot changes.
function turnTo(next) {
  page = Math.max(0, next);
  if (!pools) return;
  showEndpoints();
  setText(byId('found'), byId('matches').textContent + (byId('pager').hidden ? '' : ', ' + byId('page').textContent.toLowerCase()));
}

for (const id of ['find', 'pool', 'condition']) byId(id).addEventListener('input', () => turnTo(0));
byId('filters').addEventListener('submit', (event) => event.preventDefault());
for (const [id, step] of [['previous', -1], ['next', 1]]) {
  byId(id).addEventListener('click', (event) => event.currentTarget.getAttribute('aria-disabled') !== 'true' && turnTo(page + step));
}
