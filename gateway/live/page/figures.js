// The figures: each a tile of a number, what else there is to say, and a chart of the last minutes.

import { Chart } from './chart.js';
import { byId, make, setText } from './dom.js';
import { count, duration, rate } from './format.js';

class Tile {
  constructor(title, unit, of) {
    this.of = of; // {value, more}, and what a Chart takes
    this.value = make('span', { class: 'value' });
    this.more = make('span', { class: 'more' });
    this.chart = new Chart(title, of);
    byId('tiles').append(make('div', {}, make('dt', { text: title }),
      make('dd', {}, this.value, make('span', { class: 'unit', text: unit ? ' ' + unit : '' }), this.more, this.chart.element)));
  }

  show(snapshot, points) {
    setText(this.value, this.of.value(snapshot));
    setText(this.more, this.of.more ? this.of.more(snapshot) : '');
    this.chart.draw(points);
  }
}

const spread = (of) => (of ? 'p50 ' + duration(of.p50) + ', p99 ' + duration(of.p99) : 'nothing in the last minute');

const tiles = [
  new Tile('Requests', '/s', { value: (s) => rate(s.total.requests), point: (p) => p.requests, more: (s) => rate(s.total.aborts) + '/s left early' }),
  new Tile('Errors', '/s', { value: (s) => rate(s.total.errors), point: (p) => p.errors, least: 1, more: () => 'status 429 and 5xx' }),
  new Tile('Output tokens', '/s', { value: (s) => rate(s.total.outputTokens), point: (p) => p.outputTokens, more: (s) => rate(s.total.promptTokens) + '/s of prompts' }),
  new Tile('First token, p95', '', { value: (s) => duration(s.total.ttft?.p95), point: (p) => p.ttft, text: duration, more: (s) => spread(s.total.ttft) }),
  new Tile('Per token, p95', '', { value: (s) => duration(s.total.tpot?.p95), point: (p) => p.tpot, text: duration, more: (s) => spread(s.total.tpot) }),
  new Tile('Outstanding', '', { value: (s) => count(s.total.inFlight + s.total.queued), point: (p) => p.inFlight + p.queued, text: count, least: 1,
    more: (s) => count(s.total.inFlight) + ' in flight, ' + count(s.total.queued) + ' queued' }),
];

const pointsMost = 600;
let points = [];

// takeHistory takes the points of before the stream began.
export function takeHistory(all) {
  points = all;
}

// takePoint takes a snapshot's point.
export function takePoint(point) {
  if (!points.length || points[points.length - 1].t < point.t) points.push(point);
  if (points.length > pointsMost) points.splice(0, points.length - pointsMost);
}

export function showFigures(s) {
  tiles.forEach((tile) => tile.show(s, points));
}
