package gateway

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
)

// What an endpoint says of its load in a response is shown, and the response is none the worse for a report that is malformed.
func TestLoadReportsAreShown(t *testing.T) {
	const good = "TEXT named_metrics.num_requests_waiting=3, named_metrics.kv_cache_usage_perc=0.25"
	var report atomic.Value
	report.Store("nonsense")
	var asked atomic.Value
	address := backend(t, func(w http.ResponseWriter, r *http.Request) {
		asked.Store(r.Header.Get("Endpoint-Load-Metrics-Format"))
		w.Header().Set("Endpoint-Load-Metrics", report.Load().(string))
		fmt.Fprint(w, "ok")
	})
	r := start(t, "pools: {main: {endpoints: [\"http://"+address+"\"]}}\n"+
		"routes: [{requestHeaders: {set: {endpoint-load-metrics-format: text}}, split: [{pool: main}]}]\n")
	get := func() {
		t.Helper()
		res, err := http.Get(r.url("/v1/x"))
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		body, _ := io.ReadAll(res.Body)
		if got := res.Header.Get("Endpoint-Load-Metrics"); string(body) != "ok" || got != report.Load() {
			t.Errorf("got %q with the report %q, want the endpoint's %q", body, got, report.Load())
		}
	}
	get()
	if asked.Load() != "text" {
		t.Errorf("the endpoint was asked for reports in the form %q, want text", asked.Load())
	}
	r.logs.await(t, "an endpoint's load report is dropped endpoint="+address, 1)
	if l := r.load(address); l != nil {
		t.Errorf("after a malformed report the load is %+v", l)
	}
	report.Store(good)
	get()
	l := r.load(address)
	if l == nil || l.Waiting == nil || l.Waiting.Value != 3 || l.KVCache.Value != 0.25 || l.Running != nil || l.InFlight != 1 {
		t.Fatalf("the load is %+v", l)
	}
	if got := r.metric(`penstock_endpoint_waiting_requests{endpoint="` + address + `",pool="main"}`); !strings.HasPrefix(got, "3") {
		t.Errorf("the metric says %q waiting requests, want 3", got)
	}
}
