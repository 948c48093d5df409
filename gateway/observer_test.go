package gateway

import (
	"io"
	"net/netip"
	"testing"
	"time"

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
	if err := o.dispatcher.Apply(parse(t, pool("127.0.0.1:1"))); err != nil {
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
	x.Started, x.FirstToken, x.LastToken, x.Finished = 0, second/5, 2*second, 2*second
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
		want   string // of firstToken, perToken: counts and sums
	}{
		{"usage", func(x *dispatch.Exchange) { x.Usage.CompletionTokens = 10 }, "1 0.2 1 0.2"},
		{"events without usage", func(x *dispatch.Exchange) { x.Usage, x.Events = openai.Usage{}, 19 }, "1 0.2 1 0.1"},
		{"one token", func(x *dispatch.Exchange) { x.Usage.CompletionTokens, x.LastToken = 1, x.FirstToken }, "1 0.2 0 0"},
		{"nothing known", func(x *dispatch.Exchange) { x.Usage = openai.Usage{} }, "1 0.2 0 0"},
		{"not streamed", func(x *dispatch.Exchange) { x.Streamed = false }, "0 0 0 0"},
		{"no body", func(x *dispatch.Exchange) { x.FirstToken, x.LastToken = 0, 0 }, "0 0 0 0"},
	} {
		o := newObserved(t, false)
		o.x.FirstToken, o.x.LastToken = second/5, 2*second
		c.change(&o.x)
		o.Finished(&o.x)
		if got := sums(t, o, "time_to_first_token_seconds") + " " + sums(t, o, "time_per_output_token_seconds"); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
	}
}
