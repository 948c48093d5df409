package gateway

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/dispatch"
)

// twoPools has a route to both pools, each of them a Service.
const twoPools = `pools:
  a: {service: {namespace: models, name: a}}
  b: {service: {namespace: models, name: b}}
routes:
- name: r
  match: {model: llama-3-8b}
  split: [{pool: a}, {pool: b}]
`

const onlyPoolA = `pools:
  a: {service: {namespace: models, name: a}}
routes:
- name: r
  match: {model: llama-3-8b}
  split: [{pool: a}]
`

// apply puts a configuration in force, as a gateway does.
func (o *observed) apply(t testing.TB, yaml string) {
	t.Helper()
	c := parse(t, yaml)
	o.metrics.widen(c)
	if err := o.dispatcher.Apply(c); err != nil {
		t.Fatal(err)
	}
	o.metrics.narrow(c)
	for name := range c.Pools {
		if err := o.dispatcher.SetEndpoints(name, onLoopbackOnly()); err != nil {
			t.Fatal(err)
		}
	}
}

func onLoopbackOnly() dispatch.Members {
	return dispatch.MemberList{{Endpoint: config.Endpoint{Scheme: "http"}, Address: "127.0.0.1:1"}}
}

// requestOf returns a request that got an endpoint of a pool and is not finished.
func (o *observed) requestOf(t testing.TB, pool string) *dispatch.Exchange {
	t.Helper()
	for range 1000 {
		x := new(dispatch.Exchange)
		x.Reset(o.dispatcher)
		x.Request.Method, x.Request.Path = []byte("POST"), []byte("/v1/chat/completions")
		x.Request.Model, x.Request.ModelKnown = []byte("llama-3-8b"), true
		x.Match()
		if x.Pool.Name != pool {
			x.Finish(dispatch.Refused)
			continue
		}
		if reply := x.Admit(); reply != nil {
			t.Fatalf("the request got no endpoint: %v", reply)
		}
		return x
	}
	t.Fatalf("no request got to pool %s", pool)
	return nil
}

// finish ends a request in every way that metrics look at.
func (o *observed) finish(x *dispatch.Exchange, status int) {
	second := int64(1e9)
	x.Status, x.Streamed, x.Started = status, true, 0
	x.FirstToken, x.LastToken, x.LongestGap, x.Queued = second, 2*second, second/2, second/4
	x.Usage.CompletionTokens = 10
	x.Refusal = dispatch.NewReply(status, fmt.Sprintf("code_%d", status), "", "", 0)
	o.Retried(x.Pool, dispatch.ConnectFailed)
	o.MirrorDropped(x.Pool, "busy")
	x.Finish(dispatch.Completed)
	x.Endpoint = nil
	o.Finished(x)
}

// seriesNaming lists what of the metrics of requests names a pool, be it as such or as its Service.
func seriesNaming(t testing.TB, o *observed, pool string) (names []string) {
	t.Helper()
	families, err := o.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for _, f := range families {
		for _, m := range f.Metric {
			for _, l := range m.Label {
				if (l.GetName() == "pool" || l.GetName() == "service") && l.GetValue() == pool {
					found[f.GetName()] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(found))
}

func TestSeriesEndWithWhatTheyAreOf(t *testing.T) {
	o := newObserved(t, false)
	o.apply(t, twoPools)
	for _, pool := range []string{"a", "b"} {
		o.finish(o.requestOf(t, pool), 200)
	}
	cached, fresh := o.requestOf(t, "b"), o.requestOf(t, "b")
	if n := len(seriesNaming(t, o, "b")); n < 14 {
		t.Fatalf("pool b has series in %d metrics: the test looks at too few", n)
	}
	o.apply(t, onlyPoolA)
	if left := seriesNaming(t, o, "b"); len(left) > 0 {
		t.Errorf("after the reload there is still %s", strings.Join(left, ", "))
	}
	if n := len(seriesNaming(t, o, "a")); n < 14 {
		t.Errorf("pool a has series in %d metrics only", n)
	}
	// One ends as others have before it, and one in a way that has no counter yet.
	o.finish(cached, 200)
	o.finish(fresh, 418)
	o.metrics.narrow(parse(t, onlyPoolA))
	if left := seriesNaming(t, o, "b"); len(left) > 0 {
		t.Errorf("requests that were underway brought back %s", strings.Join(left, ", "))
	}
	o.apply(t, twoPools)
	o.finish(o.requestOf(t, "b"), 200)
	if got := o.requestsOf(t, "r", "b", "200"); got != 1 {
		t.Errorf("a pool that came back has %v requests, want it to count anew", got)
	}
}

// A request of a configuration that is no longer in force may be the first one of its route and pool.
func TestFirstRequestEndsAfterItsPool(t *testing.T) {
	o := newObserved(t, false)
	o.apply(t, twoPools)
	x := o.requestOf(t, "b")
	o.apply(t, onlyPoolA)
	o.finish(x, 200)
	if left := seriesNaming(t, o, "b"); len(left) > 0 {
		t.Errorf("it made %s", strings.Join(left, ", "))
	}
}

// A route that moves to another pool leaves the pool's own series alone.
func TestRouteLeavesItsPool(t *testing.T) {
	o := newObserved(t, false)
	o.apply(t, twoPools)
	x := o.requestOf(t, "b")
	o.finish(o.requestOf(t, "b"), 200)
	o.apply(t, strings.Replace(twoPools, "split: [{pool: a}, {pool: b}]", "split: [{pool: a}]", 1))
	o.finish(x, 200)
	got := strings.Join(seriesNaming(t, o, "b"), " ")
	for name, want := range map[string]bool{
		"penstock_tokens_total": true, "penstock_queue_wait_seconds": true, "penstock_service_requests_total": true, "penstock_refusals_total": true,
		"penstock_requests_total": false, "penstock_request_duration_seconds": false, "penstock_inter_token_gap_max_seconds": false,
	} {
		if strings.Contains(got, name) != want {
			t.Errorf("%s is there: %v, want %v", name, !want, want)
		}
	}
}

func TestRefusedConfigurationEndsNothing(t *testing.T) {
	r := start(t, pool(answering(t, "hello")))
	r.expectSaid("before", "200 hello")
	c := parse(t, strings.ReplaceAll(pool("127.0.0.1:1"), "main", "other"))
	r.dispatcher.Close()
	if err := r.apply(c); err == nil {
		t.Fatal("a dispatcher that is closed took a configuration")
	}
	if got := r.metric(`penstock_requests_total{code="200",pool="main",route="default"}`); got != "1" {
		t.Errorf("requests are %q, want 1", got)
	}
	if r.metrics.kept.pools["other"] {
		t.Error("series may begin of what is not in force")
	}
}

// Reloads, requests and scrapes at once, for the race detector; in the end only what is configured has series.
func TestReloadsAndRequestsAtOnce(t *testing.T) {
	o := newObserved(t, false)
	o.apply(t, twoPools)
	var all sync.WaitGroup
	for _, status := range []int{200, 429} {
		all.Go(func() {
			for i := range 300 {
				x := new(dispatch.Exchange)
				x.Reset(o.dispatcher)
				x.Request.Model, x.Request.ModelKnown = []byte("llama-3-8b"), true
				x.Match()
				o.Retried(x.Pool, dispatch.ConnectFailed)
				x.Refusal, x.Status, x.Queued = dispatch.NewReply(status, fmt.Sprint("code_", i%7), "", "", 0), status+i%5, 1
				x.Finish(dispatch.Refused)
				o.Finished(x)
			}
		})
	}
	all.Go(func() {
		for i := range 50 {
			o.apply(t, []string{onlyPoolA, twoPools}[i%2])
			if _, err := o.metrics.registry.Gather(); err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	o.apply(t, onlyPoolA)
	if left := seriesNaming(t, o, "b"); len(left) > 0 {
		t.Errorf("there is still %s", strings.Join(left, ", "))
	}
}

func (o *observed) requestsOf(t testing.TB, values ...string) float64 {
	t.Helper()
	return counterValue(t, o, "requests_total", map[string]string{"route": values[0], "pool": values[1], "code": values[2]})
}

// counterValue is what a scrape has of a counter; -1 if nothing.
func counterValue(t testing.TB, o *observed, name string, labels map[string]string) float64 {
	t.Helper()
	families, err := o.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.Metric {
			same := f.GetName() == namespace+"_"+name
			for _, l := range m.Label {
				same = same && labels[l.GetName()] == l.GetValue()
			}
			if same {
				return m.GetCounter().GetValue()
			}
		}
	}
	return -1
}

// A pool that becomes another Service's leaves the old one's series to those that still have it.
func TestPoolChangesItsService(t *testing.T) {
	o := newObserved(t, false)
	o.apply(t, twoPools)
	o.finish(o.requestOf(t, "b"), 200)
	labels := map[string]string{"namespace": "models", "service": "b", "code_class": "2xx"}
	o.apply(t, strings.Replace(twoPools, "name: a}", "name: b}", 1))
	if got := counterValue(t, o, "service_requests_total", labels); got != 1 {
		t.Errorf("the Service of two pools has %v requests, want 1", got)
	}
	o.apply(t, strings.Replace(twoPools, "name: b}", "name: c}", 1))
	if got := counterValue(t, o, "service_requests_total", labels); got != -1 {
		t.Errorf("a Service that no pool has still has %v requests", got)
	}
	o.finish(o.requestOf(t, "b"), 200)
	labels["service"] = "c"
	if got := counterValue(t, o, "service_requests_total", labels); got != 1 {
		t.Errorf("the new Service has %v requests, want 1", got)
	}
}
