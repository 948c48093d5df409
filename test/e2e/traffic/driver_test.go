package traffic

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/bench/mock"
)

func TestNewConnections(t *testing.T) {
	m := startMock(t, mock.Options{})
	g := startGateway(t, fmt.Sprintf("pools: {main: {endpoints: [\"http://%s\"]}}\n", m.Addr()))
	for _, single := range []bool{false, true} {
		d := newDriver(t, g.Addr().String(), Options{NewConnections: single, Clients: 1, MinTokens: 1, MaxTokens: 2})
		for i := range 3 {
			for _, c := range []struct {
				kind   Kind
				reused bool
			}{{Unary, !single && i > 0}, {SSE, !single || i > 0}} {
				if e := d.one(c.kind); e.outcome != OK || e.reused != c.reused {
					t.Errorf("new connections %v: %s request %d is %s, on a connection that was used before: %v", single, c.kind, i+1, e.outcome, e.reused)
				}
			}
		}
	}
}

func TestCleanRun(t *testing.T) {
	a, b := startMock(t, mock.Options{Label: "v1"}), startMock(t, mock.Options{Label: "v2"})
	g := startGateway(t, fmt.Sprintf("pools: {main: {endpoints: [\"http://%s\", \"http://%s\"], balance: round-robin}}\n", a.Addr(), b.Addr()))
	d := newDriver(t, g.Addr().String(), Options{
		Rates:     map[Kind]float64{Unary: 20, SSE: 20, GRPC: 20, GRPCStream: 20},
		MinTokens: 1, MaxTokens: 20, Clients: 3, Users: 5, Header: http.Header{"x-canary": {"yes"}},
	})
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	if err := d.Start(); err != ErrRunning {
		t.Errorf("started twice: %v", err)
	}
	d.await(20, Kinds...)
	if !d.Report().Running {
		t.Error("the report does not say that requests are sent")
	}
	d.Stop(t.Context())
	d.Stop(t.Context()) // has nothing to do
	r := d.Report()
	if r.NotOK() > 0 || len(r.Samples) > 0 || !r.Valid || r.Running || len(r.LeftOut) > 0 {
		t.Errorf("valid %v, running %v, left out %v, samples %+v", r.Valid, r.Running, r.LeftOut, r.Samples[:min(len(r.Samples), 3)])
	}
	var total int64
	for _, k := range Kinds {
		n := r.Kinds[k]
		if n.Sent < 20 || n.Outcomes[OK] != n.Sent || n.Underway != 0 || n.Dropped != 0 || n.Carried != 0 || n.TTFT.Count != int(n.Sent) || n.TTFT.Max <= 0 {
			t.Errorf("%s: %+v", k, n)
		}
		if streamed := k == SSE || k == GRPCStream; streamed != (n.MaxGap.Count > 0) {
			t.Errorf("%s has %d gaps", k, n.MaxGap.Count)
		}
		total += n.Sent
	}
	checkEndpoints(t, r, total, map[string]string{a.Addr(): "v1", b.Addr(): "v2"})
	if len(r.Users) != 5 {
		t.Errorf("%d users", len(r.Users))
	}
	if share, of := r.Share("v1", 0, 1000); of != total || math.Abs(share-0.5) > 0.2 {
		t.Errorf("v1 has a share of %v of %d answers", share, of)
	}
	if a.State().Requests.Finished+b.State().Requests.Finished != total {
		t.Errorf("the replicas have seen other than %d requests", total)
	}
}

// checkEndpoints requires that a report knows these endpoints and their labels, and that the counts fit together.
func checkEndpoints(t *testing.T, r *Report, total int64, labels map[string]string) {
	t.Helper()
	for _, e := range r.Endpoints {
		if labels[e.Name] != e.Label || e.Label == "" {
			t.Errorf("endpoint %s has the label %q, want %q", e.Name, e.Label, labels[e.Name])
		}
		for k, n := range e.OK {
			total -= n
			for _, s := range e.Seconds {
				n -= s.OK[k]
			}
			if n != 0 {
				t.Errorf("%s: the seconds of %s lack %d answers", e.Name, k, n)
			}
		}
	}
	if len(r.Endpoints) != len(labels) || total != 0 {
		t.Errorf("%d endpoints lack %d answers", len(r.Endpoints), total)
	}
}

// TestOpenLoop: requests that do not end hold up no others; beyond the bound they are dropped, and the run is not valid.
func TestOpenLoop(t *testing.T) {
	s := startMock(t, mock.Options{})
	if err := s.SetFaults([]mock.Fault{{Kind: mock.StallBeforeHeaders}}); err != nil {
		t.Fatal(err)
	}
	d := newDriver(t, s.Addr(), Options{Rates: map[Kind]float64{SSE: 500}, MaxInFlight: 3, StopTimeout: 10 * time.Millisecond})
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	for late := time.Now().Add(patience); d.Report().Kinds[SSE].Dropped < 5; time.Sleep(time.Millisecond) {
		if time.Now().After(late) {
			t.Fatalf("nothing is dropped: %+v", d.Report())
		}
	}
	before := d.Reset()
	if k := before.Kinds[SSE]; before.Valid || k.Sent != 3 || k.Underway != 3 || k.Dropped < 5 {
		t.Errorf("report %+v", before)
	}
	d.Stop(t.Context())
	after := d.Report()
	if k := after.Kinds[SSE]; k.Sent != 0 || k.Carried != 3 || k.Underway != 0 || k.Outcomes[Failed] != 3 {
		t.Errorf("report %+v", after)
	}
	for _, s := range after.Samples {
		if !strings.Contains(s.Error, errStopped.Error()) || !s.Sent.Before(after.Began) {
			t.Errorf("sample %+v", s)
		}
	}
}

func TestRate(t *testing.T) {
	s := startMock(t, mock.Options{Instant: true})
	d := newDriver(t, s.Addr(), Options{Rates: map[Kind]float64{Unary: 200, GRPC: 50}})
	began := time.Now()
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	d.await(25, GRPC)
	d.Stop(t.Context())
	took := time.Since(began).Seconds()
	for kind, rate := range d.options.Rates {
		// Neither is ever ahead of its time, and each catches up what it is late.
		if n := float64(d.Report().Kinds[kind].Sent); n > rate*took+1 || n < rate*(took-1) {
			t.Errorf("%v requests of kind %s in %.2f s at %v a second", n, kind, took, rate)
		}
	}
}

func TestStartAfterStop(t *testing.T) {
	s := startMock(t, mock.Options{})
	d := newDriver(t, s.Addr(), Options{Rates: map[Kind]float64{GRPCStream: 100}})
	for range 2 {
		if err := d.Start(); err != nil {
			t.Fatal(err)
		}
		d.await(3, GRPCStream)
		d.Stop(t.Context())
	}
	if r := d.Report(); r.NotOK() > 0 {
		t.Errorf("report %+v", r)
	}
	d.Close()
	if err := d.Start(); err != ErrClosed {
		t.Errorf("a closed driver started: %v", err)
	}
}

func TestReach(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := newDriver(t, l.Addr().String(), Options{Rates: map[Kind]float64{Unary: 1}})
	if err := d.Reach(t.Context()); err != nil {
		t.Error(err)
	}
	l.Close()
	if err := d.Reach(t.Context()); err == nil {
		t.Error("a port that is closed can be reached")
	}
}

func TestControl(t *testing.T) {
	s := startMock(t, mock.Options{})
	d := newDriver(t, s.Addr(), Options{Rates: map[Kind]float64{Unary: 100}})
	server := httptest.NewServer(Control(d.Driver))
	defer server.Close()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c := Remote{URL: server.URL, Client: &http.Client{Transport: transport, Timeout: patience}}
	ctx := t.Context()
	for _, path := range []string{"/healthz", "/reach"} {
		if _, err := c.ask(ctx, http.MethodGet, path); err != nil {
			t.Error(err)
		}
	}
	if err := c.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if err := c.Start(ctx); err == nil || !strings.Contains(err.Error(), "status 409: cannot start the traffic: it runs") {
		t.Errorf("started twice: %v", err)
	}
	d.await(5, Unary)
	if r, err := c.Report(ctx); err != nil || !r.Running || r.Count(OK) < 5 || r.Kinds[Unary].TTFT.P99 <= 0 {
		t.Errorf("report %+v, %v", r, err)
	}
	before, err := c.Reset(ctx)
	if err != nil || before.Count(OK) < 5 {
		t.Errorf("report %+v, %v", before, err)
	}
	after, err := c.Stop(ctx)
	if err != nil || after.Running || !after.Began.After(before.Began) || after.Kinds[Unary].Underway != 0 {
		t.Errorf("report %+v, %v", after, err)
	}
	if n := before.Count(OK) + after.Count(OK); n != d.number {
		t.Errorf("two periods have %d requests of %d", n, d.number)
	}
	// What the JSON holds is what the report held.
	sent, err := json.Marshal(d.Report())
	if err != nil {
		t.Fatal(err)
	}
	var read Report
	if err := json.Unmarshal(sent, &read); err != nil {
		t.Fatal(err)
	}
	if again, err := json.Marshal(read); err != nil || string(again) != string(sent) {
		t.Errorf("%s became %s, %v", sent, again, err)
	}
	d.Close()
	if err := c.Start(ctx); err == nil || !strings.Contains(err.Error(), "status 503: cannot start the traffic: the driver is closed") {
		t.Errorf("a closed driver started: %v", err)
	}
}

func TestOptionsErrors(t *testing.T) {
	good := func() Options { return Options{Target: "gateway:8000", Rates: map[Kind]float64{Unary: 1}} }
	if err := good().Validate(); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Options){
		`the target must be host:port`:                          func(o *Options) { o.Target = "gateway" },
		`the kinds are [unary sse grpc grpc-stream]`:            func(o *Options) { o.Rates["rest"] = 1 },
		`cannot send NaN requests of kind sse a second`:         func(o *Options) { o.Rates[SSE] = math.NaN() },
		`cannot send -1 requests of kind unary a second`:        func(o *Options) { o.Rates[Unary] = -1 },
		`the rate of one kind must be more than 0`:              func(o *Options) { o.Rates[Unary] = 0 },
		`cannot ask for 9 to 3 tokens`:                          func(o *Options) { o.MinTokens, o.MaxTokens = 9, 3 },
		`cannot send with -1 clients`:                           func(o *Options) { o.Clients = -1 },
		`cannot send for 10001 users`:                           func(o *Options) { o.Users = 10001 },
		`cannot have at most -1 requests underway`:              func(o *Options) { o.MaxInFlight = -1 },
		`timeouts must be more than 0s`:                         func(o *Options) { o.Timeout = -1 },
		`cannot send the header "X-Request-Id"`:                 func(o *Options) { o.Header = http.Header{"X-Request-Id": {"1"}} },
		`cannot send the header "grpc-timeout"`:                 func(o *Options) { o.Header = http.Header{"grpc-timeout": {"1S"}} },
		`cannot send the header x-a: "b\r\nc" is no header's v`: func(o *Options) { o.Header = http.Header{"x-a": {"b\r\nc"}} },
	} {
		o := good()
		change(&o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
		if d, err := New(o); err == nil {
			d.Close()
			t.Errorf("a driver was made of options of which Validate says %q", want)
		}
	}
}

// deadPort is an address that refuses connections.
func deadPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestTimeout(t *testing.T) {
	s := startMock(t, mock.Options{})
	for _, c := range []struct {
		fault mock.FaultKind
		want  map[Kind]Outcome
	}{
		{mock.StallBeforeHeaders, map[Kind]Outcome{SSE: Failed, Unary: Failed}},
		{mock.StallMidStream, map[Kind]Outcome{SSE: Cut, Unary: Cut}},
	} {
		if err := s.SetFaults([]mock.Fault{{Kind: c.fault}}); err != nil {
			t.Fatal(err)
		}
		d := newDriver(t, s.Addr(), Options{Timeout: 250 * time.Millisecond})
		for kind, want := range c.want {
			if e := d.one(kind); e.outcome != want || !strings.Contains(e.text, errTimeout.Error()) {
				t.Errorf("%s, %s: %s, %q", c.fault, kind, e.outcome, e.text)
			}
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := newDriver(t, l.Addr().String(), Options{Timeout: 250 * time.Millisecond})
	if e := d.one(GRPC); e.outcome != Failed || !strings.Contains(e.text, errTimeout.Error()) {
		t.Errorf("without a word from the server: %s, %q", e.outcome, e.text)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d = newDriver(t, s.Addr(), Options{})
	e := d.begin(Unary, time.Now())
	if d.send(ctx, e); e.outcome != Failed {
		t.Errorf("after a cancel: %+v", e)
	}
}
