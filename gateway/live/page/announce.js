// Screen readers are told of events every few seconds at most, and of the last ones where there are many: else a storm of them is read out long after.

import { byId } from './dom.js';

const announceMs = 5e3;
let untold = [];
let untoldMore = 0;
let toldAt = 0;
let telling = 0;

export function announce(fresh) {
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
