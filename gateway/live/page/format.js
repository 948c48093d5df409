// Numbers, as people read them. What is not known is a dash.

export const none = '–';
const grouped = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });

export function count(n) {
  if (n === undefined || n === null) return none;
  return n < 1e12 ? grouped.format(n) : n.toExponential(1); // endpoints may say any number
}

export function rate(n) {
  if (n === undefined || n === null) return none;
  return n >= 100 ? count(n) : n >= 10 ? n.toFixed(1) : n.toFixed(2).replace(/\.?0+$/, '');
}

export function duration(ms) {
  if (ms === undefined || ms === null) return none;
  if (ms < 10) return ms.toFixed(1) + ' ms';
  if (ms < 1000) return ms.toFixed(0) + ' ms';
  return seconds(ms / 1000);
}

export function seconds(s) {
  if (s === undefined || s === null) return none;
  if (s < 60) return s.toFixed(1) + ' s';
  if (s < 3600) return Math.floor(s / 60) + ' min ' + Math.floor(s % 60) + ' s';
  if (s < 86400) return Math.floor(s / 3600) + ' h ' + Math.floor(s % 3600 / 60) + ' min';
  return Math.floor(s / 86400) + ' d ' + Math.floor(s % 86400 / 3600) + ' h';
}

export function percent(share) {
  if (share === undefined || share === null) return none;
  if (share > 0 && share < 0.001) return '<0.1 %';
  if (share > 10) return '>1000 %';
  return (share * 100).toFixed(share > 0 && share < 0.1 ? 1 : 0) + ' %';
}

// percentiles are those of a latency.
export function percentiles(of) {
  return of ? duration(of.p50) + ' / ' + duration(of.p95) + ' / ' + duration(of.p99) : none;
}
