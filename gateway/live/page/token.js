// The admin token: the form that asks for it. It is kept until the tab is closed.

import { showConnection } from './connection.js';
import { byId } from './dom.js';

const tokenKey = 'penstock-admin-token';

export function savedToken() {
  return sessionStorage.getItem(tokenKey);
}

// askForToken shows the form until there is a token to try, which is saved.
export async function askForToken() {
  const form = byId('login'), field = byId('token');
  let why = savedToken() ? 'The gateway does not take this token.' : 'The gateway asks for a token.';
  form.hidden = false;
  if (document.activeElement === document.body) field.focus(); // nobody is busy elsewhere
  for (;;) {
    showConnection(why);
    await new Promise((resolve) => form.addEventListener('submit', (event) => { event.preventDefault(); resolve(); }, { once: true }));
    const token = field.value.trim();
    field.value = '';
    if (/^[!-~]+$/.test(token)) {
      sessionStorage.setItem(tokenKey, token);
      return;
    }
    why = 'This is no token: it has characters that none has.';
  }
}

export function hideTokenForm() {
  const form = byId('login');
  if (form.contains(document.activeElement)) byId('main').focus(); // rather than nowhere
  form.hidden = true;
}
