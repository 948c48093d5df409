package live

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/dispatch"
)

func TestMain(m *testing.M) {
	// After a refusal net/http's server holds a connection that it has closed for half a second, which is longer than goleak looks.
	goleak.VerifyTestMain(m, goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

type noUpstream struct{}

func (noUpstream) Close() {}

// newDispatcher returns a dispatcher with a pool of n endpoints, two routes to it and one more.
func newDispatcher(t testing.TB, n int) *dispatch.Dispatcher {
	t.Helper()
	var list []string
	for i := range n {
		list = append(list, fmt.Sprintf("%q", fmt.Sprintf("http://10.0.%d.%d:8000", i/250, i%250+1)))
	}
	c, err := config.Parse("test.yaml", fmt.Appendf(nil, `pools:
  main: {endpoints: [%s], balance: round-robin}
  next: {endpoints: ["http://10.1.0.1:8000"]}
routes:
- {name: chat, match: {model: llama}, split: [{pool: main, weight: 75}, {pool: next, weight: 25}]}
- {name: rest, split: [{pool: main}]}
`, strings.Join(list, ", ")))
	if err != nil {
		t.Fatal(err)
	}
	d := dispatch.New(dispatch.Options{NewUpstream: func(dispatch.EndpointConfig) dispatch.Upstream { return noUpstream{} }})
	t.Cleanup(d.Close)
	if err := d.Apply(c); err != nil {
		t.Fatal(err)
	}
	return d
}

func newHub(t testing.TB) *Hub {
	t.Helper()
	h := NewHub(Source{
		Dispatcher: newDispatcher(t, 3),
		Status:     func() Status { return Status{State: "serving"} },
		Counters:   func() *Counters { return new(Counters) },
	}, NewEvents())
	t.Cleanup(h.Close)
	return h
}

// snapshots is how many were taken until nothing goes on any more.
func (h *Hub) snapshots() int {
	synctest.Wait()
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.taken
}

// stream is what a watcher gets.
type stream struct {
	mu   sync.Mutex
	text strings.Builder
	code int
	end  context.CancelFunc
}

func (s *stream) Header() http.Header  { return http.Header{} }
func (s *stream) WriteHeader(code int) { s.code = code }
func (s *stream) Flush()               {}
func (s *stream) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(p)
}

// count says how many events of a name came.
func (s *stream) count(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Count(s.text.String(), "event: "+name+"\n")
}

// last decodes the data of the last event of a name.
func (s *stream) last(t testing.TB, name string, to any) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.text.String()
	at := strings.LastIndex(text, "event: "+name+"\ndata: ")
	if at < 0 {
		t.Fatalf("no %s came", name)
	}
	data, _, _ := strings.Cut(text[at+len("event: "+name+"\ndata: "):], "\n")
	if err := json.Unmarshal([]byte(data), to); err != nil {
		t.Fatal(err)
	}
}

// watch begins to watch, until the test or the stream is ended.
func (h *Hub) watch(t testing.TB) *stream {
	ctx, end := context.WithCancel(context.Background())
	s := &stream{code: http.StatusOK, end: end}
	t.Cleanup(end)
	go h.ServeHTTP(s, httptest.NewRequestWithContext(ctx, http.MethodGet, "/debug/live", nil))
	synctest.Wait()
	return s
}

func TestOneSnapshotASecondForAllAndNoneForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		first, second := h.watch(t), h.watch(t)
		time.Sleep(10*time.Second + time.Millisecond)
		synctest.Wait()
		if h.snapshots() != 11 || first.count("snapshot") != 11 || second.count("snapshot") != 11 || first.count("history") != 1 {
			t.Errorf("in 10 s, %d snapshots were taken and %d and %d sent, want 11", h.snapshots(), first.count("snapshot"), second.count("snapshot"))
		}
		first.end()
		time.Sleep(5 * time.Second)
		if h.snapshots() != 16 {
			t.Errorf("with one watcher left, %d snapshots were taken, want 16", h.snapshots())
		}
		second.end()
		time.Sleep(time.Minute)
		if h.snapshots() != 16 {
			t.Errorf("with nobody watching, %d snapshots were taken, want 16", h.snapshots())
		}
		again := h.watch(t)
		if n := again.count("snapshot"); n != 1 {
			t.Errorf("who comes back has %d snapshots at once, want 1", n)
		}
		var points []Point
		again.last(t, "history", &points)
		if len(points) != 17 {
			t.Errorf("the history has %d points, want 17", len(points))
		}
	})
}

func TestEventsAreSentAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		logger := slog.New(h.events.Handler(slog.DiscardHandler))
		s := h.watch(t)
		time.Sleep(100 * time.Millisecond)
		logger.Warn("endpoint is ejected", "pool", "main", "endpoint", "10.0.0.1:8000")
		synctest.Wait()
		var got []Event
		s.last(t, "events", &got)
		if len(got) != 1 || got[0].Kind != KindEject || got[0].Pool != "main" || got[0].Detail != "endpoint 10.0.0.1:8000" || got[0].Level != "warn" {
			t.Errorf("got %+v", got)
		}
		if n := s.count("snapshot"); n != 1 {
			t.Errorf("%d snapshots came, want 1", n)
		}
		time.Sleep(soonest - 100*time.Millisecond)
		synctest.Wait()
		if n := s.count("snapshot"); n != 2 {
			t.Errorf("%d snapshots came within %v, want 2", n, soonest)
		}
		for range 100 { // a storm
			logger.Warn("endpoint is ejected")
			time.Sleep(20 * time.Millisecond)
		}
		synctest.Wait()
		if n := s.count("snapshot"); n > 7 {
			t.Errorf("%d snapshots came within 2.5 s of a storm of events, want 7 at most", n)
		}
	})
}

func TestWatchersAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(t)
		var all []*stream
		for range watchersMost {
			all = append(all, h.watch(t))
		}
		if s := h.watch(t); s.code != http.StatusServiceUnavailable || !strings.Contains(s.text.String(), "32 watch already") {
			t.Errorf("one more gets %d %q", s.code, s.text.String())
		}
		all[0].end()
		synctest.Wait()
		if s := h.watch(t); s.code != http.StatusOK || s.count("snapshot") != 1 {
			t.Errorf("after one has left, another one gets %d", s.code)
		}
		h.Close()
		if s := h.watch(t); s.code != http.StatusServiceUnavailable {
			t.Errorf("after the end, one gets %d", s.code)
		}
		// synctest sees that all streams have ended.
	})
}

// TestStreamOutlivesTheServersTimeToRead: the time that a server gives clients to send their request runs on while it is answered.
func TestStreamOutlivesTheServersTimeToRead(t *testing.T) {
	h := newHub(t)
	s := httptest.NewUnstartedServer(h)
	s.Config.ReadTimeout = 20 * time.Millisecond
	s.Start()
	defer s.Close()
	defer h.Close()
	client := s.Client()
	client.Timeout = 20 * time.Second
	response, err := client.Get(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	lines, n := bufio.NewScanner(response.Body), 0
	lines.Buffer(nil, 1<<20)
	for n < 2 && lines.Scan() {
		if lines.Text() == "event: snapshot" {
			n++
		}
	}
	if n < 2 {
		t.Errorf("%d snapshots came: %v", n, lines.Err())
	}
}

// BenchmarkSnapshotOfAThousandEndpoints has 1,000 endpoints that are idle, and 1,000 with a request each that say what their load is.
func BenchmarkSnapshotOfAThousandEndpoints(b *testing.B) {
	for _, busy := range []bool{false, true} {
		b.Run(fmt.Sprintf("busy=%v", busy), func(b *testing.B) {
			d := newDispatcher(b, 1000)
			h := NewHub(Source{Dispatcher: d, Status: func() Status { return Status{} }, Counters: func() *Counters { return new(Counters) }}, NewEvents())
			if busy {
				h.take()
				keepBusy(b, d)
			}
			for b.Loop() {
				h.take()
			}
			b.ReportMetric(float64(len(h.frame))/1e3, "KB/snapshot")
		})
	}
}

// keepBusy sends every endpoint a request, and lets it say something.
func keepBusy(b *testing.B, d *dispatch.Dispatcher) {
	d.Look(true)
	for range 1000 {
		x := new(dispatch.Exchange)
		x.Reset(d)
		x.Started, x.RequestID, x.Request.ModelKnown = dispatch.Now(), []byte("00112233445566778899aabbccddeeff"), true
		x.Match()
		if x.Admit() != nil {
			b.Fatal("a request was refused")
		}
		b.Cleanup(func() { x.Finish(dispatch.Completed) })
		r := func(v float64) balancer.Reading { return balancer.Reading{Value: v, At: dispatch.Now()} }
		x.Endpoint.Balancer.SetSignals(&balancer.Signals{Waiting: r(3), Running: r(12), KVCache: r(.3456)})
	}
}
