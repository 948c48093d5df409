package gateway

import (
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/penstock/penstock/balancer/load"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/discovery"
	"github.com/penstock/penstock/gateway/dispatch"
)

// polled is a model server whose metrics the test sets; empty is 404. Requests get its name.
type polled struct {
	address string
	page    atomic.Value // string
	polls   chan string  // the path of each poll
}

func newPolled(t testing.TB, name, page string) *polled {
	p := &polled{polls: make(chan string)}
	p.page.Store(page)
	ended := make(chan struct{})
	p.address = backend(t, p.handler(name, ended))
	t.Cleanup(func() { close(ended) }) // before the server is closed, which waits for its requests
	return p
}

func (p *polled) handler(name string, ended <-chan struct{}) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasSuffix(r.URL.Path, "/metrics") {
			fmt.Fprint(w, name)
			return
		}
		page := p.page.Load().(string)
		select {
		case p.polls <- r.URL.Path:
		case <-r.Context().Done():
		case <-ended:
		}
		if page == "" {
			http.NotFound(w, r)
			return
		}
		fmt.Fprint(w, page)
	}
}

// await waits until a page has been taken in that was asked for after the call.
func (p *polled) await(t testing.TB) (path string) {
	t.Helper()
	// The page of the first poll may have been chosen before. That of the second one was not, and was taken in when the third comes.
	for range 3 {
		select {
		case path = <-p.polls:
		case <-time.After(patience):
			t.Fatal("the endpoint is not polled")
		}
	}
	return path
}

// startPolling is start with polls as often as no sensible configuration would have them.
func startPolling(t testing.TB, yaml string) *running {
	t.Helper()
	often := func(c *config.Config) {
		for _, p := range c.Pools {
			if p.Metrics != nil {
				p.Metrics.Interval = config.Duration(5 * time.Millisecond)
			}
		}
	}
	path := filepath.Join(t.TempDir(), "penstock.yaml")
	writeFile(t, path, []byte(onLoopback(yaml)))
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	often(c)
	r := newRunning(t, c, path)
	r.options.Override = often
	r.run()
	return r
}

// load is what /debug/endpoints says of an endpoint's load; nil if it says nothing.
func (r *running) load(address string) *dispatch.LoadDescription {
	r.t.Helper()
	_, text := r.admin("/debug/endpoints")
	var s status
	if err := json.Unmarshal([]byte(text), &s); err != nil {
		r.t.Fatal(err)
	}
	for _, p := range s.Pools {
		for _, e := range p.Endpoints {
			if e.Address == address {
				return e.Load
			}
		}
	}
	r.t.Fatalf("%s is no endpoint: %s", address, text)
	return nil
}

// polledAt is what is polled.
func (r *running) polledAt() (urls []string) {
	r.polls.mu.Lock()
	defer r.polls.mu.Unlock()
	for _, s := range r.polls.scrapers {
		urls = append(urls, s.Targets()...)
	}
	return urls
}

const vllmMetrics = `
vllm:num_requests_waiting{model_name="a"} 3
vllm:num_requests_running{model_name="a"} 12
vllm:kv_cache_usage_perc{model_name="a"} 0.25
vllm:lora_requests_info{max_lora="2",running_lora_adapters="sql",waiting_lora_adapters=""} 1
`

func TestEndpointsSayHowBusyTheyAre(t *testing.T) {
	a := newPolled(t, "a", vllmMetrics)
	silent := newPolled(t, "b", "tgi_queue_size 1\n")
	r := startPolling(t, "pools:\n  main: {endpoints: [\"http://"+a.address+"\"], engine: vllm}\n"+
		"  other: {endpoints: [\"http://"+silent.address+"\"]}\nroutes: [{split: [{pool: main}]}]\n")
	if path := a.await(t); path != "/metrics" {
		t.Errorf("polled at %s", path)
	}
	l := r.load(a.address)
	if l == nil || l.Waiting.Value != 3 || l.Running.Value != 12 || l.KVCache.Value != 0.25 || l.Failure != "" {
		t.Fatalf("the load is %+v", l)
	}
	if age := l.Waiting.AgeSeconds; age < 0 || age > patience.Seconds() {
		t.Errorf("the age is %v s", age)
	}
	if want := (&dispatch.AdaptersDescription{Running: []string{"sql"}, Waiting: []string{}, Max: 2, AgeSeconds: l.Adapters.AgeSeconds}); !reflect.DeepEqual(l.Adapters, want) {
		t.Errorf("the adapters are %+v, want %+v", l.Adapters, want)
	}
	if l.GPUUtilization != nil || l.Blocks != nil {
		t.Errorf("told what was never read: %+v", l)
	}
	for name, want := range map[string]string{"waiting_requests": "3", "running_requests": "12", "kv_cache_utilization": "0.25"} {
		series := fmt.Sprintf(`penstock_endpoint_%s{endpoint="%s",pool="main"}`, name, a.address)
		if got := r.metric(series); got != want {
			t.Errorf("%s is %q, want %s", series, got, want)
		}
	}
	if got := r.metric(fmt.Sprintf(`penstock_endpoint_signal_age_seconds{endpoint="%s",pool="main"}`, a.address)); got == "" {
		t.Error("there is no age")
	}
	if got := r.signalUp(a.address); got != "1" {
		t.Errorf("signal_up is %q", got)
	}
	// The pool without an engine is not polled.
	if l := r.load(silent.address); l != nil {
		t.Errorf("the load of an endpoint that is not polled is %+v", l)
	}
	if got := r.metric(fmt.Sprintf(`penstock_endpoint_signal_up{endpoint="%s",pool="other"}`, silent.address)); got != "" {
		t.Errorf("signal_up of an endpoint that is not polled is %s", got)
	}
	if got := r.metric(fmt.Sprintf(`penstock_endpoint_waiting_requests{endpoint="%s",pool="other"}`, silent.address)); got != "" {
		t.Errorf("an endpoint that is not polled has %s waiting requests", got)
	}
	select {
	case path := <-silent.polls:
		t.Errorf("an endpoint without an engine is polled at %s", path)
	default:
	}
}

// An endpoint whose metrics vanish goes on serving, and what was read of it grows old.
func TestMetricsThatVanish(t *testing.T) {
	a := newPolled(t, "a", vllmMetrics)
	r := startPolling(t, pool(a.address)+"    engine: vllm\n")
	a.await(t)
	a.page.Store("")
	a.await(t)
	r.logs.await(t, "cannot read an endpoint's metrics: what was read of it grows old pool=main endpoint="+a.address+" error=http://"+a.address+
		"/metrics answered 404 Not Found, want 200", 1)
	r.expectSaid("without metrics", "200 a")
	if got := r.signalUp(a.address); got != "0" {
		t.Errorf("signal_up is %q", got)
	}
	first := r.load(a.address)
	if first.Waiting.Value != 3 || !strings.Contains(first.Failure, "404") {
		t.Errorf("the load is %+v", first)
	}
	a.await(t)
	if again := r.load(a.address); again.Waiting.AgeSeconds <= first.Waiting.AgeSeconds {
		t.Errorf("the age was %v s and is %v s", first.Waiting.AgeSeconds, again.Waiting.AgeSeconds)
	}
	a.page.Store(strings.Replace(vllmMetrics, " 3", " 4", 1))
	a.await(t)
	r.logs.await(t, "endpoint's metrics are read again pool=main endpoint="+a.address, 1)
	if l := r.load(a.address); l.Waiting.Value != 4 || l.Failure != "" {
		t.Errorf("the load is %+v", l)
	}
}

// An endpoint that was never read, as its port is wrong or it has no metrics, has no age by which that could be seen.
func TestMetricsThatNeverCame(t *testing.T) {
	a := newPolled(t, "a", "")
	r := startPolling(t, pool(a.address)+"    engine: vllm\n")
	a.await(t)
	r.logs.await(t, "cannot read an endpoint's metrics", 1)
	if got := r.signalUp(a.address); got != "0" {
		t.Errorf("signal_up is %q", got)
	}
	if got := r.metric(fmt.Sprintf(`penstock_endpoint_signal_age_seconds{endpoint="%s",pool="main"}`, a.address)); got != "" {
		t.Errorf("what was never read is %s s old", got)
	}
}

// An endpoint that drains is no longer read, which is no fault of it: nothing of its metrics tells of one.
func TestMetricsOfDrainingEndpoints(t *testing.T) {
	a := newPolled(t, "a", vllmMetrics)
	r := startPolling(t, pool(a.address)+"    engine: vllm\n")
	a.await(t)
	s := told{make(chan discovery.Set), make(chan error)}
	r.sources.set([]discovery.Source{s})
	for _, condition := range []discovery.Condition{discovery.NotReady, discovery.Terminating} {
		set := discovery.Set{Pool: "main", Endpoints: found(t, a.address), Conditions: []discovery.Condition{condition}}
		s.sets <- set
		s.sets <- set // the first one is in force when this is taken
		if r.load(a.address) == nil {
			t.Fatal("nothing is known of the endpoint: the test shows nothing")
		}
		for _, name := range []string{"signal_up", "signal_age_seconds"} {
			if got := r.metric(fmt.Sprintf(`penstock_endpoint_%s{endpoint="%s",pool="main"}`, name, a.address)); got != "" {
				t.Errorf("%v: %s is %s", condition, name, got)
			}
		}
	}
}

func (r *running) signalUp(address string) string {
	r.t.Helper()
	return r.metric(fmt.Sprintf(`penstock_endpoint_signal_up{endpoint="%s",pool="main"}`, address))
}

func TestPollsFollowReloads(t *testing.T) {
	a := newPolled(t, "a", vllmMetrics+"tgi_queue_size 7\n")
	r := startPolling(t, pool(a.address)+"    engine: vllm\n")
	a.await(t)
	// At another place, and still the same engine: what was read stays until it is read anew.
	r.configure(pool(a.address) + "    engine: vllm\n    metrics: {path: /stats/metrics, interval: 10s}\n")
	r.logs.await(t, "configuration applied", 1)
	if l := r.load(a.address); l == nil || l.Waiting == nil {
		t.Errorf("after another path the load is %+v", l)
	}
	if path := a.await(t); path != "/stats/metrics" {
		t.Errorf("polled at %s", path)
	}
	// Another engine's words mean something else.
	r.configure(pool(a.address) + "    engine: tgi\n")
	r.logs.await(t, "configuration applied", 2)
	a.await(t)
	if l := r.load(a.address); l.Waiting.Value != 7 || l.KVCache != nil {
		t.Errorf("after another engine the load is %+v", l)
	}
	r.configure(pool(a.address))
	r.logs.await(t, "configuration applied", 3)
	if l := r.load(a.address); l != nil {
		t.Errorf("without an engine the load is %+v", l)
	}
	if got := r.polledAt(); got != nil {
		t.Errorf("polled without an engine are %q", got)
	}
}

func TestDiscoveredEndpointsArePolled(t *testing.T) {
	a, b := newPolled(t, "a", vllmMetrics), newPolled(t, "b", vllmMetrics)
	r := startPolling(t, pool(a.address)+"    engine: vllm\n")
	a.await(t)
	s := told{make(chan discovery.Set), make(chan error)}
	r.sources.set([]discovery.Source{s})
	s.sets <- discovery.Set{Pool: "main", Endpoints: found(t, b.address)}
	b.await(t)
	if l := r.load(b.address); l == nil || l.Waiting.Value != 3 {
		t.Errorf("the load is %+v", l)
	}
	if got := r.polledAt(); !slices.Equal(got, []string{"http://" + b.address + "/metrics"}) {
		t.Errorf("polled are %q", got)
	}
}

func TestPollsOverTLS(t *testing.T) {
	ca := newAuthority(t, "ca")
	a := newPolled(t, "a", vllmMetrics)
	r := start(t, pool(a.address)+withTLS(ca, t, "", "a.test"))
	// The gateway itself is the endpoint of another one.
	caFile := t.TempDir() + "/ca.crt"
	writeFile(t, caFile, ca.pem)
	front := startPolling(t, fmt.Sprintf("pools:\n  main:\n    endpoints: [\"https://%s\"]\n    tls: {ca: %s}\n    engine: vllm\n", r.Addr(), caFile))
	a.await(t)
	if l := front.load(r.Addr().String()); l == nil || l.Waiting.Value != 3 {
		t.Errorf("the load is %+v", l)
	}
}

// Every engine that a configuration may name has metrics that are known.
func TestEnginesAreKnown(t *testing.T) {
	field, _ := reflect.TypeFor[config.Pool]().FieldByName("Engine")
	var named []string
	for name := range strings.SplitSeq(field.Tag.Get("enum"), ",") {
		if name != "none" {
			named = append(named, name)
		}
	}
	slices.Sort(named)
	if known := load.Engines(); !slices.Equal(named, known) {
		t.Errorf("configurations name %q, and known are %q", named, known)
	}
}
