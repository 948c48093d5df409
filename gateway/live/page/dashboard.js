'use strict';
// The dashboard shows what debug/live sends, and keeps nothing but the view: filter, order, page. It changes only what is different, so that focus,
// selection and a screen reader's place stay.

const byId = (id) => document.getElementById(id);

// make returns an element with attributes, where text stands for its content.
function make(name, attributes = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === 'text') element.textContent = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function setAttribute(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

// Numbers, as people read them. What is not known is a dash.

const none = '–';
const grouped = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

function count(n) {
  if (n === undefined || n === null) return none;
  return n < 1e12 ? grouped.format(n) : n.toExponential(1); // endpoints may say any number
}

function rate(n) {
  if (n === undefined || n === null) return none;
  return n >= 100 ? count(n) : n >= 10 ? n.toFixed(1) : n.toFixed(2).replace(/\.?0+$/, '');
}

function duration(ms) {
  if (ms === undefined || ms === null) return none;
  if (ms < 10) return ms.toFixed(1) + ' ms';
  if (ms < 1000) return ms.toFixed(0) + ' ms';
  return seconds(ms / 1000);
}

function seconds(s) {
  if (s === undefined || s === null) return none;
  if (s < 60) return s.toFixed(1) + ' s';
  if (s < 3600) return Math.floor(s / 60) + ' min ' + Math.floor(s % 60) + ' s';
  if (s < 86400) return Math.floor(s / 3600) + ' h ' + Math.floor(s % 3600 / 60) + ' min';
  return Math.floor(s / 86400) + ' d ' + Math.floor(s % 86400 / 3600) + ' h';
}

function percent(share) {
  if (share === undefined || share === null) return none;
  if (share > 0 && share < 0.001) return '<0.1 %';
  if (share > 10) return '>1000 %';
  return (share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0) + ' %';
}

// keyed gives each item of a list a key of its own: its name and, where others before it have that, which one it is. Clients choose their requests' ids,
// and an endpoint that drains may have the address of another.
function keyed(items, name) {
  const seen = new Map();
  return items.map((item) => {
    const of = name(item), n = seen.get(of) || 0;
    seen.set(of, n + 1);
    return { ...item, key: n + ' ' + of };
  });
}

// Tables. Each column has a title, a value to sort by and, unless that is what is shown, a text. fill, if there is one, makes the cell instead.

class Table {
  constructor(id, caption, columns, options = {}) {
    this.element = byId(id);
    this.columns = columns;
    this.options = options;
    this.sort = options.sort || null; // {column, descending}
    this.rows = new Map();
    this.headers = columns.map((column, i) => this.header(column, i));
    this.body = make('tbody', { role: 'rowgroup' });
    // The roles stay when a narrow screen's layout would take them away.
    this.element.setAttribute('role', 'table');
    this.caption = make('caption', { text: caption });
    this.element.append(this.caption, make('thead', { role: 'rowgroup' }, make('tr', { role: 'row' }, ...this.headers)), this.body);
    this.empty = make('tr', { role: 'row' }, make('td', { role: 'cell', colspan: columns.length, class: 'empty wide', 'data-label': '', text: options.empty || 'None.' }));
    this.showOrder();
  }

  header(column, i) {
    const attributes = { scope: 'col', role: 'columnheader' };
    if (column.number) attributes.class = 'number';
    if (!this.sort) return make('th', { ...attributes, text: column.title });
    const button = make('button', { type: 'button', text: column.title });
    button.addEventListener('click', () => {
      const same = this.sort.column === i;
      this.sort = { column: i, descending: same ? !this.sort.descending : !!column.number };
      this.showOrder();
      this.options.changed();
    });
    return make('th', attributes, button);
  }

  showOrder() {
    if (!this.sort) return;
    this.headers.forEach((header, i) => {
      if (i !== this.sort.column) header.removeAttribute('aria-sort');
      else header.setAttribute('aria-sort', this.sort.descending ? 'descending' : 'ascending');
    });
  }

  // ordered returns items in the table's order; those without a value are last.
  ordered(items) {
    if (!this.sort) return items;
    const { column, descending } = this.sort;
    const value = this.columns[column].value;
    const sign = descending ? -1 : 1;
    return items.map((item, i) => ({ item, i, v: value(item) })).sort((a, b) => {
      if (a.v === undefined || b.v === undefined) return (a.v === undefined) - (b.v === undefined) || a.i - b.i;
      return sign * (a.v < b.v ? -1 : a.v > b.v ? 1 : 0) || a.i - b.i;
    }).map((one) => one.item);
  }

  // show makes items, which are keyed, the table's rows.
  show(items) {
    const kept = new Set();
    const rows = items.map((item) => {
      const name = item.key;
      kept.add(name);
      let row = this.rows.get(name);
      if (!row) {
        row = this.makeRow();
        this.rows.set(name, row);
      }
      this.fillRow(row, item);
      return row;
    });
    for (const [name, row] of this.rows) {
      if (kept.has(name)) continue;
      row.remove();
      this.rows.delete(name);
    }
    if (rows.length === 0) rows.push(this.empty);
    else this.empty.remove();
    rows.forEach((row, i) => {
      if (this.body.children[i] !== row) this.body.insertBefore(row, this.body.children[i] || null);
    });
  }

  makeRow() {
    return make('tr', { role: 'row' }, ...this.columns.map((column, i) => i === 0
      ? make('th', { scope: 'row', role: 'rowheader' })
      : make('td', { role: 'cell', 'data-label': column.title })));
  }

  fillRow(row, item) {
    this.columns.forEach((column, i) => {
      const cell = row.children[i];
      const text = column.text ? column.text(item) : String(column.value(item));
      const classes = [column.number && 'number', column.wide && 'wide', text === '' && 'none', column.mark && column.mark(item)].filter(Boolean).join(' ');
      setAttribute(cell, 'class', classes);
      if (column.fill) column.fill(cell, item);
      else setText(cell, text);
    });
  }
}

// stateCell shows a state by word, shape and colour, and why.
function stateCell(cell, item) {
  if (!cell.firstChild) cell.append(make('span', { class: 'state' }));
  setAttribute(cell.firstChild, 'data-state', item.state);
  setText(cell.firstChild, item.state + (item.cause ? ': ' + item.cause : ''));
}

const latency = (item, of, quantile) => (item[of] ? item[of][quantile] : undefined);
const latencies = (item, of) => (item[of] ? duration(item[of].p50) + ' / ' + duration(item[of].p95) + ' / ' + duration(item[of].p99) : none);

const pools = new Table('pools', 'Rates are of the last 10 s, latencies (p50 / p95 / p99) of the last minute.', [
  { title: 'Pool', value: (p) => p.name },
  { title: 'Ready', number: true, value: (p) => p.ready, text: (p) => p.ready + ' of ' + p.endpoints.length, mark: (p) => p.ready === 0 && 'bad' },
  { title: 'Queued', number: true, value: (p) => p.queued, text: (p) => count(p.queued) },
  { title: 'In flight', number: true, value: (p) => p.inFlight, text: (p) => count(p.inFlight) },
  { title: 'Requests/s', number: true, value: (p) => p.requests, text: (p) => rate(p.requests) },
  { title: 'Errors/s', number: true, value: (p) => p.errors, text: (p) => rate(p.errors), mark: (p) => p.errors > 0 && 'bad' },
  { title: 'Output tokens/s', number: true, value: (p) => p.outputTokens, text: (p) => rate(p.outputTokens) },
  { title: 'TTFT', number: true, wide: true, value: (p) => latency(p, 'ttft', 'p95'), text: (p) => latencies(p, 'ttft') },
  { title: 'TPOT', number: true, wide: true, value: (p) => latency(p, 'tpot', 'p95'), text: (p) => latencies(p, 'tpot') },
  { title: 'Balanced by', wide: true, value: (p) => p.policy },
], { empty: 'No pools.' });

const endpoints = new Table('endpoints', 'Shares are of the pool’s picks: in the last 10 s, and since the start. Waiting, KV cache and their age are the endpoint’s own words.', [
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

const routes = new Table('routes', 'The share of each target of a route’s split: by its weights, in the last minute, and since the start.', [
  { title: 'Route', value: (t) => t.route },
  { title: 'Takes', value: (t) => t.match || 'everything', wide: true },
  { title: 'Pool', value: (t) => t.pool, text: (t) => t.pool + (t.model ? ' as ' + t.model : '') },
  { title: 'Configured', number: true, value: (t) => t.configured, text: (t) => percent(t.configured) },
  { title: 'Last minute', number: true, value: (t) => t.measured, text: (t) => percent(t.measured) },
  { title: 'Since start', number: true, value: (t) => t.overall, text: (t) => percent(t.overall) },
  { title: 'Requests', number: true, value: (t) => t.requests, text: (t) => count(t.requests) },
], { empty: 'No routes.' });

const requests = new Table('requests', 'The oldest 100. Those that an endpoint had before anybody watched appear when their response goes on.', [
  { title: 'Request', value: (r) => r.id || none },
  { title: 'Phase', value: (r) => r.phase },
  { title: 'Age', number: true, value: (r) => r.age, text: (r) => seconds(r.age) },
  { title: 'Tokens', number: true, value: (r) => r.tokens, text: (r) => count(r.tokens) },
  { title: 'Endpoint', wide: true, value: (r) => r.endpoint || none },
  { title: 'Pool', value: (r) => r.pool },
  { title: 'Route', value: (r) => r.route },
  { title: 'Model', value: (r) => r.model || none },
], { empty: 'None is listed.' });

// Tiles: a figure, what else there is to say, and a chart of the last minutes.

const svgName = 'http://www.w3.org/2000/svg';
const chartWidth = 200, chartHeight = 40;

class Tile {
  constructor(title, unit, of) {
    this.of = of; // {value, more, point, text}
    this.title = title;
    this.unit = unit;
    this.value = make('span', { class: 'value' });
    this.more = make('span', { class: 'more' });
    this.chart = document.createElementNS(svgName, 'svg');
    this.area = document.createElementNS(svgName, 'path');
    this.line = document.createElementNS(svgName, 'path');
    setAttribute(this.chart, 'viewBox', '0 0 ' + chartWidth + ' ' + chartHeight);
    setAttribute(this.chart, 'preserveAspectRatio', 'none');
    setAttribute(this.chart, 'role', 'img');
    setAttribute(this.area, 'class', 'area');
    setAttribute(this.line, 'class', 'line');
    this.chart.append(this.area, this.line);
    byId('tiles').append(make('div', {}, make('dt', { text: title }), make('dd', {}, this.value, make('span', { class: 'unit', text: unit ? ' ' + unit : '' }), this.more, this.chart)));
  }

  show(snapshot, points) {
    setText(this.value, this.of.value(snapshot));
    setText(this.more, this.of.more ? this.of.more(snapshot) : '');
    this.draw(points);
  }

  // draw shows the points of the last five minutes, or of a minute at least. Where there are none for a while, the line ends.
  draw(points) {
    const end = points.length ? points[points.length - 1].t : 0;
    const shown = points.filter((p) => end - p.t <= longestMs);
    const span = shown.length ? Math.max(shortestMs, end - shown[0].t) : shortestMs;
    const known = shown.map(this.of.point).filter((v) => v !== undefined && v !== null);
    const most = Math.max(...known, this.of.least || 1e-9);
    let line = '', area = '', run = [];
    const finish = () => {
      if (run.length > 1) {
        const path = run.map((p) => p.x.toFixed(1) + ' ' + p.y.toFixed(1)).join(' L');
        line += 'M' + path;
        area += 'M' + run[0].x.toFixed(1) + ' ' + chartHeight + ' L' + path + ' L' + run[run.length - 1].x.toFixed(1) + ' ' + chartHeight + ' Z';
      }
      run = [];
    };
    let last = 0;
    for (const p of shown) {
      const v = this.of.point(p);
      if (v === undefined || v === null || last && p.t - last > gapMs) finish();
      last = p.t;
      if (v === undefined || v === null) continue;
      run.push({ x: chartWidth * (1 - (end - p.t) / span), y: chartHeight - 2 - (chartHeight - 6) * v / most });
    }
    finish();
    setAttribute(this.line, 'd', line);
    setAttribute(this.area, 'd', area);
    setAttribute(this.chart, 'aria-label', this.inWords(known, span));
  }

  // inWords is the chart for those who do not see it.
  inWords(known, span) {
    if (known.length < 2) return this.title + ', chart: nothing to show yet';
    const write = this.of.text || rate;
    return this.title + ' over the last ' + seconds(span / 1000) + ': least ' + write(Math.min(...known)) + ', most ' + write(Math.max(...known)) + ', last ' + write(known[known.length - 1]);
  }
}

const longestMs = 300e3, shortestMs = 60e3;
const gapMs = 5e3;
const spread = (s, of) => (s.total[of] ? 'p50 ' + duration(s.total[of].p50) + ', p99 ' + duration(s.total[of].p99) : 'nothing in the last minute');

const tiles = [
  new Tile('Requests', '/s', { value: (s) => rate(s.total.requests), point: (p) => p.requests, more: (s) => rate(s.total.aborts) + '/s left early' }),
  new Tile('Errors', '/s', { value: (s) => rate(s.total.errors), point: (p) => p.errors, least: 1, more: () => 'status 429 and 5xx' }),
  new Tile('Output tokens', '/s', { value: (s) => rate(s.total.outputTokens), point: (p) => p.outputTokens, more: (s) => rate(s.total.promptTokens) + '/s of prompts' }),
  new Tile('First token, p95', '', { value: (s) => duration(latency(s.total, 'ttft', 'p95')), point: (p) => p.ttft, text: duration, more: (s) => spread(s, 'ttft') }),
  new Tile('Per token, p95', '', { value: (s) => duration(latency(s.total, 'tpot', 'p95')), point: (p) => p.tpot, text: duration, more: (s) => spread(s, 'tpot') }),
  new Tile('Outstanding', '', { value: (s) => count(s.total.inFlight + s.total.queued), point: (p) => p.inFlight + p.queued, text: count, least: 1,
    more: (s) => count(s.total.inFlight) + ' in flight, ' + count(s.total.queued) + ' queued' }),
];

// What was received, and how it is looked at.

let snapshot = null;
let held = { list: [], whole: false }; // events that are not shown yet, and whether those of before go
let points = [];
let paused = false;
let page = 0;
const pageSize = 50;
const pointsMost = 600;

function showAll() {
  showEvents(held.list, held.whole);
  held = { list: [], whole: false };
  if (!snapshot) return;
  const s = snapshot;
  showHead(s);
  tiles.forEach((tile) => tile.show(s, points));
  pools.show(keyed(s.pools, (p) => p.name));
  showEndpoints();
  routes.show(keyed(s.routes.flatMap((r) => r.targets.map((t) => ({ ...t, route: r.name, match: r.match }))), (t) => t.route + ' ' + t.pool + ' ' + t.model));
  showRequests(s);
}

function showHead(s) {
  const state = byId('state');
  setText(state, s.state);
  setAttribute(state, 'data-state', s.state);
  document.title = 'Penstock: ' + s.state;
  setText(byId('about'), 'Version ' + s.version + ', up for ' + seconds((Date.parse(s.time) - Date.parse(s.started)) / 1000) +
    ', configuration ' + s.configGeneration + ', ' + count(s.connections) + ' client connections' + (s.window > 0 && s.window < 55 ? '. Latencies are of the last ' + s.window.toFixed(0) + ' s so far.' : ''));
}

function showEndpoints() {
  const all = keyed(snapshot.pools.flatMap((p) => p.endpoints.map((e) => ({ ...e, pool: p.name }))), (e) => e.pool + ' ' + e.address);
  showPoolChoice(snapshot.pools);
  const text = byId('find').value.trim().toLowerCase();
  const pool = byId('pool').value, state = byId('condition').value;
  const found = endpoints.ordered(all.filter((e) => (!pool || e.pool === pool) && (!state || e.state === state) &&
    (!text || (e.address + ' ' + e.pool + ' ' + (e.cause || '')).toLowerCase().includes(text))));
  const pages = Math.max(1, Math.ceil(found.length / pageSize));
  page = Math.min(page, pages - 1);
  endpoints.show(found.slice(page * pageSize, (page + 1) * pageSize));
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
  if (!snapshot) return;
  showEndpoints();
  setText(byId('found'), byId('matches').textContent + (byId('pager').hidden ? '' : ', ' + byId('page').textContent.toLowerCase()));
}

function showRequests(s) {
  const phases = { queued: 0, waiting: 0, streaming: 0 };
  s.requests.forEach((r) => phases[r.phase]++);
  setText(byId('phases'), count(s.active) + ' underway. Of those listed, ' + phases.queued + ' are queued, ' + phases.waiting +
    ' wait for their first token and ' + phases.streaming + ' stream.' + (s.unlisted > 0 ? ' ' + count(s.unlisted) + ' more are not listed.' : ''));
  requests.show(keyed(s.requests, (r) => r.id));
}

const eventsMost = 200;
let lastEvent = null;

// showEvents adds events, the newest on top. A list that is whole has all that the gateway keeps, as a stream begins with: if it does not go on from what
// is shown, the gateway has started anew, or more has happened meanwhile than it keeps. Those are history, which nobody wants to be read out.
function showEvents(list, whole) {
  if (list.length === 0) return;
  const shown = byId('events');
  if (whole && !(lastEvent && list.some((e) => e.n === lastEvent.n && e.time === lastEvent.time))) {
    lastEvent = null;
    shown.replaceChildren();
  }
  const history = !lastEvent;
  const fresh = list.filter((e) => history || e.n > lastEvent.n);
  if (fresh.length === 0) return;
  lastEvent = fresh[fresh.length - 1];
  fresh.forEach((e) => shown.prepend(eventItem(e)));
  while (shown.children.length > eventsMost) shown.lastChild.remove();
  byId('quiet').hidden = true;
  if (!history) announce(fresh);
}

// Screen readers are told of events every few seconds at most, and of the last ones where there are many: else a storm of them is read out long after.

const announceMs = 5e3;
let untold = [];
let untoldMore = 0;
let toldAt = 0;
let telling = 0;

function announce(fresh) {
  untold.push(...fresh);
  untoldMore += untold.splice(0, Math.max(0, untold.length - 3)).length;
  if (!telling) telling = setTimeout(tell, Math.max(0, toldAt + announceMs - Date.now()));
}

function tell() {
  const words = untold.map((e) => e.text + (e.pool ? ', pool ' + e.pool : '') + (e.detail ? ', ' + e.detail : ''));
  byId('announce').textContent = words.join('. ') + (untoldMore > 0 ? '. And ' + untoldMore + ' more events.' : '');
  untold = [];
  untoldMore = telling = 0;
  toldAt = Date.now();
}

function eventItem(e) {
  const time = new Date(e.time);
  const text = make('p', { text: e.text + (e.pool ? ' (pool ' + e.pool + ')' : '') });
  if (e.detail) text.append(' ', make('span', { class: 'detail', text: e.detail }));
  return make('li', { 'data-level': e.level, 'data-kind': e.kind },
    make('time', { datetime: e.time, title: time.toLocaleString(), text: time.toTimeString().slice(0, 8) }),
    make('span', { class: 'kind', text: e.kind + (e.level === 'warn' ? ' (!)' : e.level === 'error' ? ' (!!)' : '') }), text);
}

// The stream. It is read by fetch rather than by an EventSource, which cannot send a token.

const silenceMs = 5e3;
const tokenKey = 'penstock-admin-token';
// The page's own address may have a user and a password, which fetch would refuse.
const stream = location.origin + location.pathname.replace(/[^/]*$/, '') + 'debug/live';

// handle takes a message in. The first events of a stream are all that there are.
function handle(name, data, first) {
  switch (name) {
    case 'history': points = data; break;
    case 'events':
      held = { list: first ? data : [...held.list, ...data].slice(-eventsMost), whole: first || held.whole };
      break;
    case 'snapshot':
      if (!points.length || points[points.length - 1].t < data.now.t) points.push(data.now);
      if (points.length > pointsMost) points.splice(0, points.length - pointsMost);
      snapshot = data;
  }
}

async function read() {
  const stop = new AbortController();
  let silence = setTimeout(() => stop.abort(), silenceMs);
  try {
    const token = sessionStorage.getItem(tokenKey);
    // By what is accepted the gateway knows that this page asks, which asks for the token itself.
    const headers = { Accept: 'text/event-stream' };
    if (token) headers.Authorization = 'Bearer ' + token;
    const response = await fetch(stream, { signal: stop.signal, cache: 'no-store', headers });
    if (response.status === 401) return 'token';
    if (!response.ok) throw new Error((await response.text()).trim());
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    let first = true;
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new Error('the gateway has ended the stream');
      clearTimeout(silence);
      silence = setTimeout(() => stop.abort(), silenceMs);
      const parts = (text + value).split('\n\n');
      text = parts.pop();
      for (const part of parts) {
        const [event, data] = part.split('\ndata: ');
        const name = event.slice('event: '.length);
        handle(name, JSON.parse(data), first);
        if (name === 'events') first = false;
      }
      connected();
      if (parts.length > 0 && !paused) showAll();
    }
  } catch (error) {
    return error.name === 'AbortError' ? 'no answer' : error.message;
  } finally {
    clearTimeout(silence);
    stop.abort();
  }
}

let tries = 0;
let trouble = 'Connecting'; // empty while the page is live

function showConnection(lost) {
  byId('connection').classList.toggle('lost', !!lost);
  setText(byId('connection'), trouble || (paused ? 'Paused' : 'Live'));
}

function connected() {
  tries = 0;
  trouble = '';
  const form = byId('login');
  if (form.contains(document.activeElement)) byId('main').focus(); // rather than nowhere
  form.hidden = true;
  showConnection();
}

function lost(why) {
  trouble = 'Not live: ' + why + '. Trying again.';
  showConnection(true);
  if (!snapshot) setText(byId('state'), 'not reached');
}

async function watch() {
  for (;;) {
    const why = await read();
    if (why === 'token') {
      await askForToken();
      continue;
    }
    lost(why);
    await new Promise((resolve) => setTimeout(resolve, Math.min(5000, 500 * 2 ** tries++)));
  }
}

async function askForToken() {
  const form = byId('login'), field = byId('token');
  trouble = sessionStorage.getItem(tokenKey) ? 'The gateway does not take this token.' : 'The gateway asks for a token.';
  form.hidden = false;
  if (document.activeElement === document.body) field.focus(); // nobody is busy elsewhere
  for (;;) {
    showConnection();
    await new Promise((resolve) => form.addEventListener('submit', (event) => { event.preventDefault(); resolve(); }, { once: true }));
    const token = field.value.trim();
    field.value = '';
    if (/^[!-~]+$/.test(token)) {
      sessionStorage.setItem(tokenKey, token);
      return;
    }
    trouble = 'This is no token: it has characters that none has.';
  }
}

for (const id of ['find', 'pool', 'condition']) byId(id).addEventListener('input', () => turnTo(0));
byId('filters').addEventListener('submit', (event) => event.preventDefault());
for (const [id, step] of [['previous', -1], ['next', 1]]) {
  byId(id).addEventListener('click', (event) => event.currentTarget.getAttribute('aria-disabled') !== 'true' && turnTo(page + step));
}
byId('pause').addEventListener('click', () => {
  paused = !paused;
  byId('pause').setAttribute('aria-pressed', String(paused));
  showConnection(byId('connection').classList.contains('lost'));
  if (!paused) showAll();
});
watch();
