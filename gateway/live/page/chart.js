// A chart of the last minutes.

import { setAttribute } from './dom.js';
import { rate, seconds } from './format.js';

const svgName = 'http://www.w3.org/2000/svg';
const chartWidth = 200, chartHeight = 40;
const longestMs = 300e3, shortestMs = 60e3;
const gapMs = 5e3;

export class Chart {
  // Of each point, of.point is drawn. of.text writes it, as a rate if there is none, and of.least is what is as high as the chart at least.
  constructor(title, of) {
    this.title = title;
    this.of = of;
    this.element = document.createElementNS(svgName, 'svg');
    this.area = document.createElementNS(svgName, 'path');
    this.line = document.createElementNS(svgName, 'path');
    setAttribute(this.element, 'viewBox', '0 0 ' + chartWidth + ' ' + chartHeight);
    setAttribute(this.element, 'preserveAspectRatio', 'none');
    setAttribute(this.element, 'role', 'img');
    setAttribute(this.area, 'class', 'area');
    setAttribute(this.line, 'class', 'line');
    this.element.append(this.area, this.line);
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
    setAttribute(this.element, 'aria-label', this.inWords(known, span));
  }

  // inWords is the chart for those who do not see it.
  inWords(known, span) {
    if (known.length < 2) return this.title + ', chart: nothing to show yet';
    const write = this.of.text || rate;
    return this.title + ' over the last ' + seconds(span / 1000) + ': least ' + write(Math.min(...known)) + ', most ' + write(Math.max(...known)) + ', last ' + write(known[known.length - 1]);
  }
}
