// Whether the page is live, and the button that holds it still.

import { byId, setText } from './dom.js';

export let paused = false;
let trouble = 'Connecting'; // empty while the page is live

// showConnection says why the page is not live, or that it is where there is no trouble. A gateway that is lost stands out.
export function showConnection(why, lost = false) {
  trouble = why;
  byId('connection').classList.toggle('lost', lost);
  showState();
}

function showState() {
  setText(byId('connection'), trouble || (paused ? 'Paused' : 'Live'));
}

// onResume has a function called when a pause ends.
export function onResume(resumed) {
  byId('pause').addEventListener('click', () => {
    paused = !paused;
    byId('pause').setAttribute('aria-pressed', String(paused));
    showState();
    if (!paused) resumed();
  });
}
