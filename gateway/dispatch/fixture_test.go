package dispatch

import (
	"bytes"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/config"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeUpstream counts how often it was closed, and knows whether an exchange held it then.
type fakeUpstream struct {
	config EndpointConfig
	closed atomic.Int32
	held   atomic.Int32
	misuse atomic.Int32 // requests that were sent after it was closed
}

func (u *fakeUpstream) Close() { u.closed.Add(1) }

// send is what an engine does with an endpoint that was captured.
func (u *fakeUpstream) send() {
	u.held.Add(1)
	if u.closed.Load() > 0 {
		u.misuse.Add(1)
	}
}

func (u *fakeUpstream) sent() { u.held.Add(-1) }

// finished is what an observer saw.
type finished struct {
	route, pool, endpoint, code string
	status, attempts            int
	outcome                     Outcome
	queued                      int64
}

type fakeObserver struct {
	forget bool // keep nothing

	mu       sync.Mutex
	finished []finished
	retried  []Outcome
	dropped  []string
}

func (o *fakeObserver) Finished(x *Exchange) {
	f := finished{status: x.Status, attempts: x.Attempts, outcome: x.Outcome, queued: x.Queued}
	if x.Route != nil {
		f.route = x.Route.Name
	}
	if x.Pool != nil {
		f.pool = x.Pool.Name
	}
	if x.Endpoint != nil {
		f.endpoint = x.Endpoint.Address
	}
	if x.Refusal != nil {
		f.code = x.Refusal.Code
	}
	if o.forget {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	o.finished = append(o.finished, f)
}

func (o *fakeObserver) Retried(_ *Pool, reason Outcome) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.retried = append(o.retried, reason)
}

func (o *fakeObserver) MirrorDropped(p *Pool, reason string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.dropped = append(o.dropped, p.Name+": "+reason)
}

func (o *fakeObserver) last() finished {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.finished) == 0 {
		return finished{}
	}
	return o.finished[len(o.finished)-1]
}

// fixture is a dispatcher with fakes around it.
type fixture struct {
	*Dispatcher
	t        testing.TB
	observer *fakeObserver
	log      *bytes.Buffer

	mu        sync.Mutex
	upstreams []*fakeUpstream
}

// newFixture returns a dispatcher with the configuration in text applied, if that is not empty.
func newFixture(t testing.TB, text string, change ...func(*Options)) *fixture {
	f := &fixture{t: t, observer: &fakeObserver{}, log: &bytes.Buffer{}}
	o := Options{
		NewUpstream: func(c EndpointConfig) Upstream {
			u := &fakeUpstream{config: c}
			f.mu.Lock()
			f.upstreams = append(f.upstreams, u)
			f.mu.Unlock()
			return u
		},
		Observer: f.observer,
		Logger:   slog.New(slog.NewTextHandler(&lockedWriter{w: f.log}, nil)),
	}
	for _, c := range change {
		c(&o)
	}
	f.Dispatcher = New(o)
	t.Cleanup(f.Close)
	if text != "" {
		f.apply(text)
	}
	return f
}

type lockedWriter struct {
	mu sync.Mutex
	w  *bytes.Buffer
}

func (l *lockedWriter) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

func parse(t testing.TB, text string) *config.Config {
	t.Helper()
	c, err := config.Parse("test.yaml", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (f *fixture) apply(text string) {
	f.t.Helper()
	if err := f.Apply(parse(f.t, text)); err != nil {
		f.t.Fatal(err)
	}
}

func (f *fixture) upstream(address string) *fakeUpstream {
	f.t.Helper()
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, u := range f.upstreams {
		if u.config.Address == address {
			return u
		}
	}
	f.t.Fatalf("no upstream was made for %s", address)
	return nil
}

func (f *fixture) endpoint(pool, address string) *Endpoint {
	f.t.Helper()
	for _, e := range f.Pool(pool).Endpoints() {
		if e.Address == address {
			return e
		}
	}
	f.t.Fatalf("pool %s has no endpoint %s", pool, address)
	return nil
}

// begin returns an exchange for a request that was matched and has to be forwarded.
func (f *fixture) begin() *Exchange {
	f.t.Helper()
	x := &Exchange{}
	f.rebegin(x)
	return x
}

func (f *fixture) rebegin(x *Exchange) {
	f.t.Helper()
	x.Reset(f.Dispatcher)
	x.Started = Now()
	x.Request.Method, x.Request.Path = []byte("POST"), []byte("/v1/completions")
	if action, reply := x.Match(); action != Forward {
		f.t.Fatalf("Match says %d, %+v; want Forward", action, reply)
	}
}

// admit returns an exchange that has captured an endpoint.
func (f *fixture) admit() *Exchange {
	f.t.Helper()
	x := f.begin()
	if reply := x.Admit(); reply != nil {
		f.t.Fatalf("Admit refuses: %s", reply.Message)
	}
	return x
}

func complete(x *Exchange, status int) {
	x.FirstByte()
	x.Status = status
	x.Finish(Completed)
}

func wantRefusal(t testing.TB, reply *Reply, status int, code string, retryAfter int) {
	t.Helper()
	if reply == nil {
		t.Fatalf("admitted; want a refusal with %d %s", status, code)
	}
	if reply.Status != status || reply.Code != code || reply.RetryAfter != retryAfter {
		t.Fatalf("refused with %d %s, Retry-After %d; want %d %s, %d", reply.Status, reply.Code, reply.RetryAfter, status, code, retryAfter)
	}
	if reply != ClientLeft && !strings.Contains(string(reply.Body), fmt.Sprintf(`"code":%q`, code)) {
		t.Fatalf("body %s does not hold the code %s", reply.Body, code)
	}
}

// onePool is a configuration with a single pool of n endpoints, 10.0.0.1:8000 and on, and more settings of the pool.
func onePool(n int, more string) string {
	var b strings.Builder
	b.WriteString("pools:\n  llama:\n    endpoints: [")
	for i := range n {
		fmt.Fprintf(&b, "%q, ", fmt.Sprintf("http://10.0.0.%d:8000", i+1))
	}
	b.WriteString("]\n")
	for line := range strings.Lines(more) {
		b.WriteString("    " + line)
	}
	return b.String()
}

// found are endpoints in a condition, as their source tells of them.
func found(condition Condition, numbers ...int) MemberList {
	list := MemberList{}
	for _, n := range numbers {
		e := config.Endpoint{Scheme: "http", Host: fmt.Sprintf("10.0.0.%d", n), Port: "8000"}
		list = append(list, Member{Endpoint: e, Address: e.Address(), Condition: condition})
	}
	return list
}

func wantPanic(t testing.TB, text string, do func()) {
	t.Helper()
	defer func() {
		t.Helper()
		if r := fmt.Sprint(recover()); !strings.Contains(r, "BUG: ") || !strings.Contains(r, text) {
			t.Errorf("panics with %s; want BUG: and %q", r, text)
		}
	}()
	do()
}

// publicFields prints what an exchange shows to engines and observers.
func publicFields(x *Exchange) string {
	var b strings.Builder
	v := reflect.ValueOf(x).Elem()
	for i := range v.NumField() {
		if f := v.Type().Field(i); f.IsExported() {
			fmt.Fprintf(&b, "%s: %v\n", f.Name, v.Field(i).Interface())
		}
	}
	return b.String()
}
