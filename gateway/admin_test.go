package gateway

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/config"
)

// sums returns the count and the sum of a histogram that has one series.
func sums(t *testing.T, o *observed, name string) string {
	t.Helper()
	families, err := o.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == namespace+"_"+name {
			h := f.Metric[0].GetHistogram()
			return fmt.Sprintf("%d %.3g", h.GetSampleCount(), h.GetSampleSum())
		}
	}
	t.Fatalf("there is no metric %s", name)
	return ""
}

// contract is the metrics that dashboards and alerts rely on, with their labels.
var contract = map[string][]string{
	"penstock_queue_depth":                   {"pool"},
	"penstock_inflight_requests":             {"pool"},
	"penstock_outstanding_requests":          {"pool"},
	"penstock_outstanding_tokens":            {"pool"},
	"penstock_endpoints":                     {"pool", "state"},
	"penstock_requests_total":                {"code", "pool", "route"},
	"penstock_request_duration_seconds":      {"pool", "route"},
	"penstock_time_to_first_token_seconds":   {"pool", "route"},
	"penstock_time_per_output_token_seconds": {"pool", "route"},
	"penstock_tokens_total":                  {"kind", "pool"},
	"penstock_retries_total":                 {"pool", "reason"},
	"penstock_client_aborts_total":           {"pool"},
	"penstock_pick_duration_seconds":         {"pool"},
	"penstock_refusals_total":                {"code", "pool"},
	"penstock_mirror_dropped_total":          {"pool", "reason"},
	"penstock_endpoint_ejections_total":      {"endpoint", "pool"},
	"penstock_connections_open":              {},
	"penstock_config_reloads_total":          {"result"},
	"penstock_config_generation":             {},
	"penstock_access_log_dropped_total":      {},
	"penstock_build_info":                    {"commit", "go", "version"},
	"process_open_fds":                       {},
	"go_goroutines":                          {},
}

func TestMetricsOfTheContract(t *testing.T) {
	// The first endpoint is dead, so that a request to it is tried again.
	dead := httptest.NewServer(nil)
	dead.Close()
	address := backend(t, func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: 1\n\n")
		w.(http.Flusher).Flush()
		io.WriteString(w, "data: {\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":2}}\n\n")
	})
	r := start(t, fmt.Sprintf(`pools:
  main: {endpoints: ["http://%s", "http://%s"], balance: round-robin, eject: {consecutiveFailures: 1}}
routes:
- match: {model: llama}
  split: [{pool: main}]
`, dead.Listener.Addr(), address))
	for _, body := range []string{`{"model":"llama"}`, `{"model":"llama"}`, `{"model":"unknown"}`} {
		response, err := http.Post(r.url("/v1/chat/completions"), "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, response.Body)
		response.Body.Close()
	}
	r.access.await(t, 3)
	r.observer.MirrorDropped(r.dispatcher.Pools()[0], "body_too_large")
	families, err := r.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := make(map[string]bool)
	for _, f := range families {
		name := f.GetName()
		found[name] = true
		want, ok := contract[name]
		if !ok {
			continue
		}
		var labels []string
		for _, l := range f.Metric[0].Label {
			labels = append(labels, l.GetName())
		}
		if !slices.Equal(labels, want) {
			t.Errorf("%s has the labels %v, want %v", name, labels, want)
		}
	}
	for name := range contract {
		if !found[name] {
			t.Errorf("there is no metric %s", name)
		}
	}
	for series, want := range map[string]string{
		`penstock_requests_total{code="200",pool="main",route="route-0"}`: "2",
		`penstock_requests_total{code="404",pool="none",route="none"}`:    "1",
		`penstock_refusals_total{code="model_not_found",pool="none"}`:     "1",
		`penstock_retries_total{pool="main",reason="connect_failed"}`:     "1",
		`penstock_tokens_total{kind="completion",pool="main"}`:            "4",
		`penstock_endpoints{pool="main",state="ready"}`:                   "1",
		`penstock_endpoints{pool="main",state="ejected"}`:                 "1",
	} {
		if got := r.metric(series); got != want {
			t.Errorf("%s is %q, want %s", series, got, want)
		}
	}
}

func TestAdminPaths(t *testing.T) {
	r := start(t, pool("127.0.0.1:1")+`routes:
- name: "only"
  split: [{pool: main}]
  requestHeaders: {set: {authorization: "Bearer secret"}}
`)
	for _, c := range []struct {
		path   string
		status int
		want   string // a regular expression
	}{
		{"/healthz", 200, `^ok\n$`},
		{"/readyz", 200, `^ok\n$`},
		{"/metrics", 200, `(?m)^penstock_config_generation 1$`},
		{"/", 200, `(?s)<html lang="en">.*<script type="module" src="main.js">`},
		{"/main.js", 200, `(?m)^import .* from './stream\.js';`},
		{"/index.html", 404, `not found`},
		{"/dashboard.css", 200, `prefers-color-scheme: dark`},
		{"/dashboard.svg", 200, `<svg `},
		{"/debug/endpoints", 200, `"address": "127\.0\.0\.1:1"`},
		{"/debug/config", 200, `(?m)^pools:\n  main:`},
		{"/debug/pprof/", 200, `goroutine`},
		{"/debug/pprof/goroutine?debug=1", 200, `goroutine profile`},
		{"/debug/pprof/cmdline", 200, `gateway`},
		{"/nothing", 404, `not found`},
	} {
		status, body := r.admin(c.path)
		if status != c.status || !regexp.MustCompile(c.want).MatchString(body) {
			t.Errorf("%s: got %d and %.300q, want %d and %s", c.path, status, body, c.status, c.want)
		}
	}
	if _, body := r.admin("/debug/config"); strings.Contains(body, "secret") {
		t.Error("/debug/config shows credentials")
	}
	_, text := r.admin("/debug/config")
	if _, err := config.Parse("effective", []byte(text)); err != nil {
		t.Errorf("the effective configuration is no configuration: %v", err)
	}
	_, text = r.admin("/debug/endpoints")
	var state status
	if err := json.Unmarshal([]byte(text), &state); err != nil || len(state.Pools) != 1 || state.Pools[0].Endpoints[0].State != "ready" {
		t.Errorf("/debug/endpoints says %s (%v)", text, err)
	}
}

func TestAdminPortOnlyReads(t *testing.T) {
	r := start(t, pool("127.0.0.1:1"))
	for _, method := range []string{http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodOptions} {
		request, _ := http.NewRequest(method, "http://"+r.AdminAddr().String()+"/healthz", nil)
		request.Close = true
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusMethodNotAllowed || response.Header.Get("Allow") != "GET, HEAD" {
			t.Errorf("%s got status %d, Allow %q", method, response.StatusCode, response.Header.Get("Allow"))
		}
	}
}

func TestReadyFromServingOn(t *testing.T) {
	r := newRunning(t, parse(t, pool("127.0.0.1:1")), "")
	if err := r.Listen(); err != nil {
		t.Fatal(err)
	}
	if status, body := r.admin("/readyz"); status != 503 || body != "starting\n" {
		t.Errorf("before Run /readyz says %d %q", status, body)
	}
	if status, _ := r.admin("/healthz"); status != 200 {
		t.Errorf("before Run /healthz says %d", status)
	}
	go func() { r.ended <- r.Run(t.Context()) }()
	r.logs.await(t, "serving", 1)
	if status, body := r.admin("/readyz"); status != 200 {
		t.Errorf("in Run /readyz says %d %q", status, body)
	}
	r.stop()
}
