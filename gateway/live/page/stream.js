// The stream. It is read by fetch rather than by an EventSource, which cannot send a token.

import { askForToken, savedToken } from './token.js';

const silenceMs = 5e3;
// The page's own address may have a user and a password, which fetch would refuse.
const stream = location.origin + location.pathname.replace(/[^/]*$/, '') + 'debug/live';
let tries = 0;

// watch reads the stream, and the next one where it ends, for as long as the page is there. Of each, page.take(name, data, first) takes the messages in,
// where first is true until events have come; page.heard(whole) is told of each piece, and whether a message has ended with it; page.lost(why) of the end.
export async function watch(page) {
  for (;;) {
    const why = await read(page);
    if (why === 'token') {
      await askForToken();
      continue;
    }
    page.lost(why);
    await new Promise((resolve) => setTimeout(resolve, Math.min(5000, 500 * 2 ** tries++)));
  }
}

// read reads one stream to its end, and says why that came: "token" stands for a gateway that asks for one.
async function read(page) {
  const stop = new AbortController();
  let silence = setTimeout(() => stop.abort(), silenceMs);
  try {
    const token = savedToken();
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
        page.take(name, JSON.parse(data), first);
        if (name === 'events') first = false;
      }
      tries = 0;
      page.heard(parts.length > 0);
    }
  } catch (error) {
    return error.name === 'AbortError' ? 'no answer' : error.message;
  } finally {
    clearTimeout(silence);
    stop.abort();
  }
}
