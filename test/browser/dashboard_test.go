package browser

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

// backend is a model server that answers, until it is broken: then it closes connections without an answer.
type backend struct {
	*httptest.Server
	broken  atomic.Bool
	uploads chan struct{} // takes a value for each upload that has begun
}

func newBackend(t testing.TB) *backend {
	b := &backend{uploads: make(chan struct{}, 64)}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength > 1000 {
			b.uploads <- struct{}{}
		}
		io.Copy(io.Discard, r.Body)
		if b.broken.Load() {
			panic(http.ErrAbortHandler)
		}
		io.WriteString(w, "{}")
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *backend) address() string { return b.Listener.Addr().String() }

// send sends requests to a gateway until the test ends, with some time between them.
func send(t testing.TB, url, body string, clients int, pause time.Duration) {
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(func() { stop(); all.Wait() })
	for range clients {
		all.Go(func() {
			for ctx.Err() == nil {
				r, _ := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(body))
				if response, err := http.DefaultClient.Do(r); err == nil {
					io.Copy(io.Discard, response.Body)
					response.Body.Close()
				}
				select {
				case <-ctx.Done():
				case <-time.After(pause):
				}
			}
		})
	}
}

// TestWhatHappensIsSeenWithinASecond measures from the log's time of an ejection and a drain to the page's change.
func TestWhatHappensIsSeenWithinASecond(t *testing.T) {
	chromium(t)
	a, b, c := newBackend(t), newBackend(t), newBackend(t)
	file := t.TempDir() + "/endpoints.yaml"
	list := func(all ...*backend) {
		text := "endpoints:\n"
		for _, one := range all {
			text += "- " + one.URL + "\n"
		}
		write(t, file, text)
	}
	list(a, b, c)
	g := startGateway(t, "127.0.0.1:0", fmt.Sprintf("pools:\n  main:\n    file: %s\n    balance: round-robin\n    eject: {consecutiveFailures: 1, baseTime: 60s, maxTime: 60s}\n", file))
	p := open(t, g.admin, 1280, 900)
	p.until(rowOf(b.address()) + `?.textContent.includes('ready')`)
	send(t, "http://"+g.traffic+"/", "{}", 2, 20*time.Millisecond)
	seen := func(what, expression, logged string) {
		t.Helper()
		at := p.until(expression)
		text := g.await(`"time":"([^"]+)","level":"[A-Z]+","msg":"`+logged, 1)[0][1]
		happened, err := time.Parse(time.RFC3339Nano, text)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("%s was seen %v after it had happened", what, at.Sub(happened).Round(time.Millisecond))
		if at.Sub(happened) > time.Second {
			t.Errorf("%s was seen %v after it had happened, want at most a second", what, at.Sub(happened))
		}
	}
	b.broken.Store(true)
	seen("the ejection's event", `document.querySelector('#events [data-kind=ejection]')?.textContent.includes('`+b.address()+`')`, "endpoint is ejected")
	seen("the ejected endpoint", rowOf(b.address())+`?.textContent.includes('ejected')`, "endpoint is ejected")
	hold := holdOne(t, g, a)
	list(b, c)
	seen("the drain's event", `document.querySelector('#events [data-kind=drain]')?.textContent.includes('`+a.address()+`')`, "endpoints drain")
	seen("the draining endpoint", rowOf(a.address())+`?.textContent.includes('draining')`, "endpoints drain")
	hold()
	p.until(`!` + rowOf(a.address()))
	p.until(`document.getElementById('announce').textContent.includes('endpoints drain')`)
}

// holdOne keeps uploads open, one of them to a backend at least, so that it does not end its drain, and returns what lets go of them.
func holdOne(t testing.TB, g *gateway, b *backend) (release func()) {
	t.Helper()
	var all []net.Conn
	var once sync.Once
	release = func() {
		once.Do(func() {
			for _, c := range all {
				c.Close()
			}
		})
	}
	t.Cleanup(release)
	for range 20 {
		c, err := net.Dial("tcp", g.traffic)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
		fmt.Fprintf(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n%s", strings.Repeat("x", 70000))
	}
	select {
	case <-b.uploads:
	case <-time.After(patience):
		t.Fatal("none of 20 uploads came to the backend")
	}
	return release
}

func thousand(more string) string {
	return "pools:\n  llama:\n    endpoints: [" + lines(`"http://127.1.%d.%d:8000", `, 1000) + "]\n" + more
}

func TestAThousandEndpoints(t *testing.T) {
	chromium(t)
	g := startGateway(t, "127.0.0.1:0", thousand(""))
	p := open(t, g.admin, 1280, 900)
	p.until(`document.getElementById('matches').textContent === '1,000 endpoints'`)
	if rows := eval[int](p, `document.querySelectorAll('#endpoints tbody tr').length`); rows != 50 {
		t.Errorf("a page has %d rows, want 50", rows)
	}
	p.until(`document.querySelector('.tiles div:last-child .line').getAttribute('d')`) // of two snapshots
	took := eval[float64](p, `import('./view.js').then((view) => { const t = performance.now(); view.showAll(); return performance.now() - t; })`)
	filtered := eval[float64](p, `(() => {
		const t = performance.now(), find = document.getElementById('find');
		find.value = '127.1.2.4'; find.dispatchEvent(new Event('input'));
		document.body.offsetHeight;
		return performance.now() - t;
	})()`)
	t.Logf("showing a snapshot took %.1f ms, filtering %.1f ms", took, filtered)
	if took > 200 || filtered > 200 {
		t.Errorf("showing a snapshot took %.1f ms and filtering %.1f ms, want at most 200 ms each", took, filtered)
	}
	if found := eval[string](p, `document.getElementById('matches').textContent`); found != "11 of 1,000 endpoints" {
		t.Errorf("the filter finds %q, want 11 of 1,000 endpoints", found) // 4 and 40 to 49
	}
	p.run(`(() => { const find = document.getElementById('find'); find.value = ''; find.dispatchEvent(new Event('input')); })()`)
	p.do(chromedp.Click(`#endpoints thead th:first-child button`), chromedp.Click("#next"))
	if got := eval[string](p, `document.querySelector('#endpoints thead th').getAttribute('aria-sort') + ' ' + document.getElementById('page').textContent`); got != "descending Page 2 of 20" {
		t.Errorf("the table is %q, want it descending, on page 2 of 20", got)
	}
	size := eval[float64](p, `fetch('debug/live').then(async (r) => {
		const reader = r.body.getReader(); let n = 0;
		for (let text = ''; !text.includes('event: snapshot') || !text.endsWith('\n\n');) { const {value} = await reader.read(); n += value.length; text += new TextDecoder().decode(value); }
		reader.cancel(); return n;
	})`)
	t.Logf("the first message has %.0f KB", size/1000)
}

// fleet is a gateway before mock model servers with some traffic.
func fleet(t testing.TB) *gateway {
	mocks := start(t, "mock", "--listen", "127.0.0.1:0", "--replicas", "6", "--model", "llama-3-8b")
	var urls []string
	for _, m := range mocks.await(`replica at (http://\S+)`, 6) {
		urls = append(urls, fmt.Sprintf("%q", m[1]))
	}
	g := startGateway(t, "127.0.0.1:0", fmt.Sprintf(`pools:
  llama: {endpoints: [%s], engine: vllm, probe: {path: /health}}
  llama-next: {endpoints: [%s, "http://127.0.0.1:9"], engine: vllm, eject: {consecutiveFailures: 1, baseTime: 60s, maxTime: 60s}, balance: round-robin}
routes:
- name: chat
  match: {model: llama-3-8b}
  split: [{pool: llama, weight: 80}, {pool: llama-next, weight: 20}]
- name: others
  split: [{pool: llama}]
`, strings.Join(urls[:4], ", "), strings.Join(urls[4:], ", ")))
	body := `{"model": "llama-3-8b", "stream": true, "stream_options": {"include_usage": true}, "max_tokens": 120, "messages": [{"role": "user", "content": "Why is the sky blue?"}]}`
	send(t, "http://"+g.traffic+"/v1/chat/completions", body, 8, 100*time.Millisecond)
	return g
}

// contrast returns the texts that stand out too little from what is behind them, by WCAG 2.2.
const contrast = `(() => {
	const parse = (c) => { const m = c.match(/[\d.]+/g).map(Number); return m.length > 3 && m[3] === 0 ? null : m; };
	const light = (c) => { const [r, g, b] = c.slice(0, 3).map((v) => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
	const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c) return c; } return [255, 255, 255]; };
	const found = new Set();
	let looked = 0;
	for (const e of document.querySelectorAll('body *')) {
		if (![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim()) || !e.offsetParent || e.closest('.hidden, .skip')) continue;
		looked++;
		const a = light(parse(getComputedStyle(e).color)), b = light(behind(e));
		const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
		if (ratio < 4.5) found.add(e.tagName + '.' + e.className + ' ' + e.textContent.slice(0, 30) + ' ' + ratio.toFixed(2));
	}
	return looked < 50 ? ['only ' + looked + ' texts were found'] : [...found];
})()`

func TestLooks(t *testing.T) {
	chromium(t)
	g := fleet(t)
	p := open(t, g.admin, 1280, 900)
	p.until(`document.querySelector('#events [data-kind=ejection]') && document.querySelector('.tiles .line').getAttribute('d')?.split('L').length > 20 &&
		document.querySelectorAll('.tiles .value')[3].textContent.endsWith('s')`) // the time to the first token
	for _, scheme := range []string{"light", "dark"} {
		p.scheme(scheme)
		if low := eval[[]string](p, contrast); len(low) > 0 {
			t.Errorf("in %s, these texts stand out too little: %q", scheme, low)
		}
		p.resize(1280, 760)
		p.shot("dashboard-"+scheme, false)
		p.resize(360, 740)
		p.shot("phone-"+scheme, false)
		p.resize(1280, 900)
		p.shot("whole-"+scheme, true)
	}
	for _, width := range []int64{360, 700, 1024} {
		p.resize(width, 740)
		if over := eval[int](p, `document.documentElement.scrollWidth - document.documentElement.clientWidth`); over > 0 {
			t.Errorf("at a width of %d pixels the page is %d wider than the window", width, over)
		}
		p.shot(fmt.Sprintf("whole-%d", width), true)
	}
	if roles := eval[int](p, `document.querySelectorAll('#endpoints [role=cell]').length`); roles == 0 {
		t.Error("the cells of a narrow page's table have no role")
	}
	if name := eval[string](p, `document.querySelector('.tiles svg').getAttribute('aria-label')`); !strings.HasPrefix(name, "Requests over the last 1 min 0 s: least ") {
		t.Errorf("the first chart is called %q", name)
	}
}

// TestKeyboard goes through the page with the Tab key and finds everything that can be used, each with a visible focus.
func TestKeyboard(t *testing.T) {
	chromium(t)
	g := startGateway(t, "127.0.0.1:0", thousand(""))
	p := open(t, g.admin, 1280, 900)
	p.until(`document.getElementById('matches').textContent === '1,000 endpoints' && document.getElementById('events').children.length > 0`)
	p.do(chromedp.Click("#next")) // so that both buttons of the pager can be used
	p.run(`document.activeElement.blur(); window.scrollTo(0, 0)`)
	all := eval[[]string](p, `[...document.querySelectorAll('a[href], button, input, select, [tabindex="0"]')]
		.filter((e) => !e.disabled && e.offsetParent !== null).map((e, i) => { e.dataset.stop = String(i); return e.dataset.stop + ' ' + (e.id || e.textContent); })`)
	var reached []string
	for range len(all) + 5 {
		p.press(kb.Tab)
		at := eval[[]string](p, `(() => { const e = document.activeElement, s = getComputedStyle(e);
			return [e.dataset.stop === undefined ? '' : e.dataset.stop + ' ' + (e.id || e.textContent), s.outlineStyle + ' ' + s.outlineWidth]; })()`)
		if at[0] != "" && at[1] != "solid 3px" {
			t.Errorf("%s has the focus and the outline %q", at[0], at[1])
		}
		reached = append(reached, at[0])
	}
	for _, one := range all {
		if !slices.Contains(reached, one) {
			t.Errorf("the Tab key never gets to %s", one)
		}
	}
	if len(all) < 20 {
		t.Errorf("only %d things can be used: the search is broken", len(all))
	}
	// What was found can be used: a column is sorted, and the page pauses.
	p.do(chromedp.Focus("#pause"))
	p.press(" ")
	p.until(`document.getElementById('connection').textContent === 'Paused'`)
	shown := eval[string](p, `document.getElementById('about').textContent`)
	eval[float64](p, `import('./view.js').then((view) => new Promise((resolve) => {
		const seen = new Set();
		const wait = setInterval(() => { if (seen.add(view.snapshot).size > 2) { clearInterval(wait); resolve(0); } }, 50);
	}))`)
	if now := eval[string](p, `document.getElementById('about').textContent`); now != shown {
		t.Errorf("the page is paused, and changes from %q to %q", shown, now)
	}
	p.press(" ")
	p.until(`document.getElementById('about').textContent !== ` + fmt.Sprintf("%q", shown))
}

// TestReconnect ends the gateway and starts another one at its place.
func TestReconnect(t *testing.T) {
	chromium(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	at := l.Addr().String()
	l.Close()
	yaml := "pools: {main: {endpoints: [\"http://127.0.0.1:9\"]}}\n"
	g := startGateway(t, at, yaml)
	p := open(t, at, 1280, 900)
	p.until(`document.getElementById('connection').textContent === 'Live'`)
	p.expectOffline(true)
	g.stop()
	p.until(`document.getElementById('connection').textContent.startsWith('Not live')`)
	startGateway(t, at, yaml)
	p.until(`document.getElementById('connection').textContent === 'Live'`)
}

// TestTokenIsChanged opens the page with a token, as the browser asks for it, and changes that while the page is open.
func TestTokenIsChanged(t *testing.T) {
	chromium(t)
	file := t.TempDir() + "/token"
	write(t, file, "first-token-of-this-test")
	g := startGateway(t, "127.0.0.1:0", "pools: {main: {endpoints: [\"http://127.0.0.1:9\"]}}\nadminSecurity: {tokenFile: "+file+"}\n")
	p := open(t, "anybody:first-token-of-this-test@"+g.admin, 1280, 900)
	p.until(`document.getElementById('connection').textContent === 'Live'`)
	p.expectOffline(true) // an answer of 401 is an error to the browser
	write(t, file, "second-token-of-this-test")
	for _, token := range []string{"wrong", "söme", " second-token-of-this-test "} {
		p.until(`!document.getElementById('login').hidden && document.activeElement.id === 'token'`)
		for _, key := range strings.Split(token, "") {
			p.press(key)
		}
		p.press(kb.Enter)
		switch token {
		case "wrong":
			p.until(`document.getElementById('connection').textContent === 'The gateway does not take this token.'`)
		case "söme":
			p.until(`document.getElementById('connection').textContent === 'This is no token: it has characters that none has.'`)
		}
	}
	p.until(`document.getElementById('login').hidden && document.getElementById('connection').textContent === 'Live'`)
}

// TestPassword opens a page whose files the browser gets for a password that it was told before, which is no part of their address.
func TestPassword(t *testing.T) {
	chromium(t)
	file := t.TempDir() + "/token"
	write(t, file, "the-token-of-this-test")
	g := startGateway(t, "127.0.0.1:0", "pools: {main: {endpoints: [\"http://127.0.0.1:9\"]}}\nadminSecurity: {tokenFile: "+file+"}\n")
	p := open(t, "anybody:the-token-of-this-test@"+g.admin, 1280, 900)
	p.until(`document.getElementById('connection').textContent === 'Live'`)
	p.do(chromedp.Navigate("http://" + g.admin + "/"))
	p.until(`document.getElementById('connection').textContent === 'Live'`)
}

// TestToken watches through what asks for a token, as a gateway may.
func TestToken(t *testing.T) {
	chromium(t)
	g := startGateway(t, "127.0.0.1:0", "pools: {main: {endpoints: [\"http://127.0.0.1:9\"]}}\n")
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: g.admin})
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/debug/live" && r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		proxy.ServeHTTP(w, r)
	}))
	defer front.Close()
	defer front.CloseClientConnections()
	p := open(t, front.Listener.Addr().String(), 1280, 900)
	p.expectOffline(true) // an answer of 401 is an error to the browser
	for _, token := range []string{"wrong", "secret"} {
		p.until(`!document.getElementById('login').hidden && document.activeElement.id === 'token'`)
		for _, key := range strings.Split(token, "") {
			p.press(key)
		}
		p.press(kb.Enter)
		if token == "wrong" {
			p.until(`document.getElementById('connection').textContent === 'The gateway does not take this token.'`)
		}
	}
	p.until(`document.getElementById('login').hidden && document.getElementById('connection').textContent === 'Live'`)
}
