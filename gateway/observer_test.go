package gateway

import (
	"io"
	"net/netip"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/openai"
)

// idleUpstream connects to nothing.
type idleUpstream struct{}

func (idleUpstream) Close() {}

// observed is an observer behind a dispatcher, and a finished exchange for it.
type observed struct {
	*observer
	dispatcher *dispatch.Dispatcher
	x          dispatch.Exchange
}

func newObserved(t testing.TB, logging bool) *observed {
	t.Helper()
	lines := newLineWriter(io.Discard)
	o := &observed{}
	o.observer = &observer{log: newAccessLog(lines)}
	o.observer.log.set(config.AccessLog{Enabled: logging, Sample: 1})
	o.dispatcher = dispatch.New(dispatch.Options{NewUpstream: func(dispatch.EndpointConfig) dispatch.Upstream { return idleUpstream{} }})
	o.metrics = newMetrics(o.dispatcher.Pools, func() int { return 0 }, lines.dropped.Load)
	c := parse(t, "pools:\n  main:\n    service: {namespace: models, name: llama}\n")
	o.metrics.widen(c)
	if err := o.dispatcher.Apply(c); err != nil {
		t.Fatal(err)
	}
	if err := o.dispatcher.SetEndpoints("main", onLoopbackOnly()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { o.dispatcher.Close(); lines.close(time.Second) })
	x := &o.x
	x.Reset(o.dispatcher)
	x.Request.Method, x.Request.Path = []byte("POST"), []byte("/v1/chat/completions?x=1")
	x.Request.Model, x.Request.ModelKnown = []byte("llama-3-8b"), true
	x.RequestID, x.Protocol, x.ClientIP = []byte("0123456789abcdef0123456789abcdef"), "HTTP/1.1", netip.MustParseAddr("192.0.2.7")
	if action, reply := x.Match(); action != dispatch.Forward {
		t.Fatalf("the request is not forwarded: %v", reply)
	}
	if reply := x.Admit(); reply != nil {
		t.Fatalf("the request got no endpoint: %v", reply)
	}
	endpoint := x.Endpoint
	x.Finish(dispatch.Completed)
	x.Endpoint = endpoint // as Finish shows it to the observer
	x.Status, x.Streamed, x.RequestBytes, x.ResponseBytes = 200, true, 500, 20_000
	x.Usage = openai.Usage{PromptTokens: 100, CachedTokens: 64, CompletionTokens: 80, Known: true}
	second := int64(time.Second)
	x.Started, x.Queued, x.FirstToken, x.LastToken, x.LongestGap, x.Finished = 0, second/10, second/5, 2*second, second/20, 2*second
	t.Cleanup(func() { x.Endpoint = nil })
	return o
}

func TestObserverAllocatesNothing(t *testing.T) {
	for name, logging := range map[string]bool{"metrics": false, "metrics and access log": true} {
		if logging && raceEnabled {
			continue // sync.Pool then drops what it is given now and then
		}
		o := newObserved(t, logging)
		if n := testing.AllocsPerRun(1000, func() { o.Finished(&o.x) }); n != 0 {
			t.Errorf("%s: %v allocations for a request", name, n)
		}
		o.x.Refusal, o.x.Status = dispatch.NewReply(429, "queue_full", "full", "", 1), 429
		if n := testing.AllocsPerRun(1000, func() { o.Finished(&o.x) }); n != 0 {
			t.Errorf("%s: %v allocations for a request that is refused", name, n)
		}
	}
}

func TestTimesBetweenTokens(t *testing.T) {
	second := int64(time.Second)
	for _, c := range []struct {
		name   string
		change func(x *dispatch.Exchange)
		want   string // of firstToken, perToken, longestGap: counts and sums
	}{
		{"usage", func(x *dispatch.Exchange) { x.Usage.CompletionTokens = 10 }, "1 0.2, 1 0.2, 1 0.05"},
		{"events without usage", func(x *dispatch.Exchange) { x.Usage, x.Events = openai.Usage{}, 19 }, "1 0.2, 1 0.1, 1 0.05"},
		{"one token", func(x *dispatch.Exchange) { x.Usage.CompletionTokens, x.LastToken = 1, x.FirstToken }, "1 0.2, 0 0, 0 0"},
		{"nothing known", func(x *dispatch.Exchange) { x.Usage = openai.Usage{} }, "1 0.2, 0 0, 1 0.05"},
		{"not streamed", func(x *dispatch.Exchange) { x.Streamed = false }, "0 0, 0 0, 0 0"},
		{"no body", func(x *dispatch.Exchange) { x.FirstToken, x.LastToken = 0, 0 }, "0 0, 0 0, 0 0"},
	} {
		o := newObserved(t, false)
		o.x.FirstToken, o.x.LastToken = second/5, 2*second
		c.change(&o.x)
		o.Finished(&o.x)
		got := sums(t, o, "time_to_first_token_seconds") + ", " + sums(t, o, "time_per_output_token_seconds") + ", " + sums(t, o, "inter_token_gap_max_seconds")
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestQueueWaitIsOfThoseWhoWaited(t *testing.T) {
	for _, c := range []struct {
		name             string
		queued, attempts int64
		want             string // of pick, queueWait
	}{
		{"waited", 1e8, 1, "1 0.1, 1 0.1"},
		{"got one at once", 0, 1, "1 0, 0 0"},
		{"waited in vain", 1e8, 0, "0 0, 1 0.1"},
		{"refused at once", 0, 0, "0 0, 0 0"},
	} {
		o := newObserved(t, false)
		o.x.Queued, o.x.Attempts = c.queued, int(c.attempts)
		o.Finished(&o.x)
		if got := sums(t, o, "pick_duration_seconds") + ", " + sums(t, o, "queue_wait_seconds"); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}

func TestServicesCountTheirRequests(t *testing.T) {
	o := newObserved(t, false)
	for _, status := range []int{200, 200, 404, 499, 503, 0, 700} {
		o.x.Status = status
		o.Finished(&o.x)
	}
	for class, want := range map[string]float64{"other": 2, "1xx": 0, "2xx": 2, "3xx": 0, "4xx": 2, "5xx": 1} {
		if got := counterValue(t, o, "service_requests_total", map[string]string{"namespace": "models", "service": "llama", "code_class": class}); got != want {
			t.Errorf("%s: %v, want %v", class, got, want)
		}
	}
	if got := sums(t, o, "service_request_duration_seconds"); got != "7 14" {
		t.Errorf("durations are %s", got)
	}
}

// An endpoint that answers with every number there is must not make a series of each.
func TestStatusesAreBounded(t *testing.T) {
	o := newObserved(t, false)
	for status := -5; status < 2000; status++ {
		o.x.Status = status
		o.Finished(&o.x)
	}
	all := make(chan prometheus.Metric, 2000)
	o.metrics.requests.Collect(all)
	if n := len(all); n != 501 {
		t.Errorf("%d series, want one for each of 100 to 599 and one for the others", n)
	}
}
