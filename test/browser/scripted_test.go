package browser

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"
	"time"
)

// scripted is an admin port whose page is a gateway's, and whose stream says what a test lets it say.
type scripted struct {
	*httptest.Server
	streams chan chan string
}

func newScripted(t testing.TB) *scripted {
	t.Helper()
	g := startGateway(t, "127.0.0.1:0", "pools: {main: {endpoints: [\"http://127.0.0.1:9\"]}}\n")
	files := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: g.admin})
	s := &scripted{streams: make(chan chan string, 8)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/debug/live" {
			s.serve(w, r)
			return
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

// serve sends what the next stream says, and the last of it again each second, so that the page does not take it for silent.
func (s *scripted) serve(w http.ResponseWriter, r *http.Request) {
	var stream chan string
	select {
	case stream = <-s.streams:
	case <-r.Context().Done():
		return
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	last := ""
	for {
		select {
		case text, open := <-stream:
			if !open {
				return
			}
			last = text
		case <-tick.C:
		case <-r.Context().Done():
			return
		}
		fmt.Fprint(w, last)
		w.(http.Flusher).Flush()
	}
}

// begin begins the next stream.
func (s *scripted) begin() chan string {
	stream := make(chan string)
	s.streams <- stream
	return stream
}

func (s *scripted) address() string { return s.Listener.Addr().String() }

// object is JSON.
type object = map[string]any

func message(name string, data any) string {
	text, err := json.Marshal(data)
	if err != nil {
		panic(err)
	}
	return fmt.Sprintf("event: %s\ndata: %s\n\n", name, text)
}

// snapshotWith is a snapshot of a gateway with a pool of these endpoints and with these requests.
func snapshotWith(endpoints, requests []object) string {
	now := time.Now()
	return message("snapshot", object{
		"time": now, "started": now.Add(-time.Hour), "state": "serving", "version": "v1", "configGeneration": 1, "connections": 1, "active": len(requests), "window": 60,
		"total": object{"queued": 0, "inFlight": 0}, "pools": []object{{"name": "main", "policy": "auto", "ready": 1, "queued": 0, "inFlight": 0, "endpoints": append([]object{}, endpoints...)}},
		"routes":   []object{{"name": "chat", "targets": []object{{"pool": "main", "configured": 0.9}, {"pool": "main", "model": "tuned", "configured": 0.1}}}},
		"requests": append([]object{}, requests...), "unlisted": 0, "now": object{"t": now.UnixMilli(), "inFlight": 0, "queued": 0},
	})
}

// eventsOf are the events from..to of a gateway that started at a time.
func eventsOf(started time.Time, from, to int) string {
	var all []object
	for n := from; n <= to; n++ {
		all = append(all, object{"n": n, "time": started.Add(time.Duration(n) * time.Second), "kind": "drain", "level": "info", "text": fmt.Sprintf("event %d of %d", n, started.Unix())})
	}
	return message("events", all)
}

const shownEvents = `[...document.querySelectorAll('#events li p')].map((p) => p.textContent)`

// TestEventsOfAnotherLife ends a gateway and starts one in its place which has seen more than the first by the time that the page comes back.
func TestEventsOfAnotherLife(t *testing.T) {
	chromium(t)
	s := newScripted(t)
	first, second := time.Unix(1e9, 0), time.Unix(2e9, 0)
	stream := s.begin()
	p := open(t, s.address(), 1280, 900)
	p.expectOffline(true)
	stream <- eventsOf(first, 1, 3) + snapshotWith(nil, nil)
	p.until(shownEvents + `.length === 3`)
	close(stream)
	stream = s.begin()
	stream <- eventsOf(second, 1, 5) + snapshotWith(nil, nil)
	p.until(`document.querySelector('#events li p').textContent === 'event 5 of 2000000000'`)
	if got := eval[[]string](p, shownEvents); len(got) != 5 || got[4] != "event 1 of 2000000000" {
		t.Errorf("after another gateway came, shown are %q, want the 5 events that it has", got)
	}
	// The page comes back to the same gateway: what it has shown stays, and what is new comes on top.
	p.run(`document.querySelector('#events li').id = 'kept'`)
	close(stream)
	stream = s.begin()
	stream <- eventsOf(second, 1, 7) + snapshotWith(nil, nil)
	p.until(`document.querySelector('#events li p').textContent === 'event 7 of 2000000000'`)
	if got := eval[[]string](p, shownEvents); len(got) != 7 || eval[int](p, `document.querySelectorAll('#events li#kept').length`) != 1 {
		t.Errorf("after the page came back, shown are %q, want 7 events, and those of before as they were", got)
	}
	// Paused for long, it keeps as many as it shows.
	p.run(`document.getElementById('pause').click()`)
	for n := 8; n <= 600; n += 50 {
		stream <- eventsOf(second, n, n+49)
	}
	p.until(`document.getElementById('connection').textContent === 'Paused'`)
	held := eval[int](p, `import('./events.js').then((events) => new Promise((resolve) => {
		const wait = setInterval(() => { if (events.held.list.at(-1)?.n === 607) { clearInterval(wait); resolve(events.held.list.length); } }, 20);
	}))`)
	if held != 200 {
		t.Errorf("a paused page keeps %d events, want 200", held)
	}
	// What is not live does not become so by a pause that ends.
	close(stream)
	p.until(`document.getElementById('connection').textContent.startsWith('Not live')`)
	p.run(`document.getElementById('pause').click()`)
	if got := eval[string](p, `document.getElementById('connection').textContent`); !strings.HasPrefix(got, "Not live") {
		t.Errorf("a page that is not live says %q", got)
	}
	if n := eval[int](p, shownEvents+`.length`); n != 200 {
		t.Errorf("%d events are shown, want 200", n)
	}
}

// TestScreenReadersAreNotFlooded has a storm of events: few sentences may come of it, within a time in which they can be read.
func TestScreenReadersAreNotFlooded(t *testing.T) {
	chromium(t)
	s := newScripted(t)
	stream := s.begin()
	p := open(t, s.address(), 1280, 900)
	started := time.Unix(1e9, 0)
	stream <- eventsOf(started, 1, 3) + snapshotWith([]object{{"address": "10.0.0.1:8000", "state": "ready"}}, nil)
	p.until(shownEvents + `.length === 3`)
	p.run(`window.said = []; new MutationObserver(() => said.push(document.getElementById('announce').textContent)).observe(document.getElementById('announce'), {childList: true});
		window.found = []; new MutationObserver(() => found.push(1)).observe(document.getElementById('found'), {childList: true, characterData: true, subtree: true})`)
	stream <- eventsOf(started, 4, 4)
	p.until(`said.length === 1`)
	for n := 5; n <= 104; n++ {
		var endpoints []object
		for i := range n % 5 {
			endpoints = append(endpoints, object{"address": fmt.Sprintf("10.0.0.%d:8000", i), "state": "ready"})
		}
		stream <- eventsOf(started, n, n) + snapshotWith(endpoints, nil)
	}
	p.until(`said.length === 2`)
	said := eval[[]string](p, `said`)
	if want := "event 104 of 1000000000. And 97 more events."; !strings.HasSuffix(said[0], "event 4 of 1000000000") || !strings.HasSuffix(said[1], want) {
		t.Errorf("of a storm of events screen readers are told %q, want the first, and then the last ones and how many more", said)
	}
	if n := eval[int](p, `found.length`); n != 0 {
		t.Errorf("screen readers were told %d times how many endpoints there are, which they did not ask", n)
	}
	p.run(`const find = document.getElementById('find'); find.value = '10.0.0.2'; find.dispatchEvent(new Event('input'))`)
	p.until(`document.getElementById('found').textContent === '1 of 4 endpoints'`)
}

// TestNamesThatClientsChoose has requests of one id, names that are markup, and endpoints of one address.
func TestNamesThatClientsChoose(t *testing.T) {
	chromium(t)
	s := newScripted(t)
	stream := s.begin()
	p := open(t, s.address(), 1280, 900)
	evil := `<img src=x onerror="document.title='evil'"><script>document.title='evil'</script>`
	request := func(id, phase string) object {
		return object{"id": id, "phase": phase, "age": 1, "tokens": 1e300, "endpoint": evil, "pool": evil, "route": evil, "model": evil}
	}
	stream <- message("events", []object{{"n": 1, "time": time.Now(), "kind": evil, "level": evil, "text": evil, "pool": evil, "detail": evil}}) + snapshotWith([]object{
		{"address": "10.0.0.1:8000", "state": "ready", "cause": evil, "waiting": 1e300, "kvCache": 1e300}, {"address": evil, "state": evil}, {"address": "10.0.0.1:8000", "state": "draining"},
	}, []object{request("same", "waiting"), request("same", "streaming"), request("", "queued"), request("", "waiting"), request(evil, evil)})
	p.until(`document.querySelectorAll('#requests tbody tr').length === 5`)
	if got := eval[[]string](p, `[...document.querySelectorAll('#requests tbody tr')].map((r) => r.children[0].textContent.slice(0, 4) + ' ' + r.children[1].textContent.slice(0, 9))`); strings.Join(got, "|") != "same waiting|same streaming|– queued|– waiting|<img <img src=" {
		t.Errorf("the requests are %q", got)
	}
	if got := eval[[]string](p, `[...document.querySelectorAll('#endpoints tbody tr')].map((r) => r.children[0].textContent.slice(0, 9) + ' ' + r.children[2].textContent.slice(0, 5))`); strings.Join(got, "|") != "10.0.0.1: ready|10.0.0.1: drain|<img src= <img " {
		t.Errorf("the endpoints are %q", got)
	}
	if n := eval[int](p, `document.querySelectorAll('main img, main script').length`); n != 0 || eval[string](p, `document.title`) != "Penstock: serving" {
		t.Errorf("names have become %d elements of the page", n)
	}
	if got := eval[string](p, `document.querySelector('#endpoints tbody tr').children[4].textContent + ' ' + document.querySelector('#endpoints tbody tr').children[5].textContent`); got != "1.0e+300 >1000 %" {
		t.Errorf("numbers beyond reason are shown as %q", got)
	}
	if got := eval[[]string](p, `[...document.querySelectorAll('#routes tbody tr')].map((r) => r.children[2].textContent + ' ' + r.children[3].textContent)`); strings.Join(got, "|") != "main 90 %|main as tuned 10 %" {
		t.Errorf("the split is %q", got)
	}
	// The first of two of one id ends: the second stays.
	stream <- snapshotWith([]object{{"address": "10.0.0.1:8000", "state": "draining"}}, []object{request("same", "streaming")})
	p.until(`document.querySelectorAll('#requests tbody tr').length === 1 && document.querySelector('#requests tbody tr').children[1].textContent === 'streaming'`)
}

// TestFocusStays goes to the last page and lets endpoints go until there is one page.
func TestFocusStays(t *testing.T) {
	chromium(t)
	s := newScripted(t)
	stream := s.begin()
	p := open(t, s.address(), 1280, 900)
	some := func(n int) (all []object) {
		for i := range n {
			all = append(all, object{"address": fmt.Sprintf("10.0.%d.%d:8000", i/250, i%250), "state": "ready"})
		}
		return all
	}
	stream <- snapshotWith(some(120), nil)
	p.until(`document.getElementById('page').textContent === 'Page 1 of 3'`)
	p.run(`document.getElementById('next').focus()`)
	for _, want := range []string{"2 of 3", "3 of 3", "3 of 3"} {
		p.press("\r")
		p.until(`document.getElementById('page').textContent === 'Page ` + want + `'`)
		if at := eval[string](p, `document.activeElement.id`); at != "next" {
			t.Fatalf("on page %s the focus is at %q", want, at)
		}
	}
	if got := eval[string](p, `document.getElementById('next').getAttribute('aria-disabled') + ' ' + document.getElementById('found').textContent`); got != "true 120 endpoints, page 3 of 3" {
		t.Errorf("on the last page, the button and what is told are %q", got)
	}
	stream <- snapshotWith(some(20), nil)
	p.until(`document.getElementById('pager').hidden`)
	if at := eval[string](p, `document.activeElement.id`); at != "find" {
		t.Errorf("when the pager is gone the focus is at %q", at)
	}
}
