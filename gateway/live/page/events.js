// The section of events.

import { announce } from './announce.js';
import { byId, make } from './dom.js';

const eventsMost = 200;
export let held = { list: [], whole: false }; // events that are not shown yet, and whether those of before go
let lastEvent = null;

// takeEvents holds events until they are shown. The first of a stream are all that there are.
export function takeEvents(list, first) {
  held = { list: first ? list : [...held.list, ...list].slice(-eventsMost), whole: first || held.whole };
}

export function showEvents() {
  addEvents(held.list, held.whole);
  held = { list: [], whole: false };
}

// addEvents adds events, the newest on top. A list that is whole has all that the gateway keeps, as a stream begins with: if it does not go on from what
// is shown, the gateway has started anew, or more has happened meanwhile than it keeps. Those are history, which nobody wants to be read out.
function addEvents(list, whole) {
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

function eventItem(e) {
  const time = new Date(e.time);
  const text = make('p', { text: e.text + (e.pool ? ' (pool ' + e.pool + ')' : '') });
  if (e.detail) text.append(' ', make('span', { class: 'detail', text: e.detail }));
  return make('li', { 'data-level': e.level, 'data-kind': e.kind },
    make('time', { datetime: e.time, title: time.toLocaleString(), text: time.toTimeString().slice(0, 8) }),
    make('span', { class: 'kind', text: e.kind + (e.level === 'warn' ? ' (!)' : e.level === 'error' ? ' (!!)' : '') }), text);
}
