package http2

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/dispatch"
)

// caller is a client of another protocol, as an engine hands it to Carry.
type caller struct {
	t        testing.TB
	body     io.Reader // of the request
	trailers []bridge.Field
	stopped  chan struct{}
	headed   chan struct{}      // closed when the final head has come
	wrote    chan struct{}      // takes a value for each Write, if there is room
	taking   func([]byte) error // what Write does before it takes anything
	ending   func() error       // what End does
	stop     func()             // what StopReading does

	mu       sync.Mutex
	interim  []string
	head     bridge.Response
	got      bytes.Buffer
	complete bool
	after    []bridge.Field
	stops    sync.Once
}

func newCaller(t testing.TB, body string) *caller {
	return &caller{
		t: t, body: strings.NewReader(body), stopped: make(chan struct{}), headed: make(chan struct{}), wrote: make(chan struct{}, 1),
	}
}

// uploading is a caller whose body the test writes while the request is underway.
func uploading(t testing.TB) (*caller, *io.PipeWriter) {
	c := newCaller(t, "")
	r, w := io.Pipe()
	c.body, c.stop = r, func() { r.CloseWithError(errors.New("stopped")) }
	t.Cleanup(func() { r.Close() })
	return c, w
}

func (c *caller) Read(p []byte) (int, error) {
	select {
	case <-c.stopped:
		return 0, errors.New("read after StopReading")
	default:
		return c.body.Read(p)
	}
}

func (c *caller) Trailers() []bridge.Field { return c.trailers }

func (c *caller) StopReading() {
	c.stops.Do(func() {
		close(c.stopped)
		if c.stop != nil {
			c.stop()
		}
	})
}

func (c *caller) Interim(status int, fields []bridge.Field) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.interim = append(c.interim, fmt.Sprint(status, fields))
	return nil
}

func (c *caller) Head(h *bridge.Response) error {
	c.mu.Lock()
	c.head = *h
	c.mu.Unlock()
	close(c.headed)
	return nil
}

func (c *caller) Write(p []byte) error {
	if c.taking != nil {
		if err := c.taking(p); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.got.Write(p)
	c.mu.Unlock()
	select {
	case c.wrote <- struct{}{}:
	default:
	}
	return nil
}

func (c *caller) End(trailers []bridge.Field) error {
	if c.ending != nil {
		if err := c.ending(); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.complete, c.after = true, trailers
	return nil
}

func (c *caller) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got.String()
}

func (c *caller) awaitText(want string) {
	c.t.Helper()
	for deadline := time.After(patience); c.text() != want; {
		select {
		case <-c.wrote:
		case <-deadline:
			c.t.Fatalf("the body is %.80q, want %.80q", c.text(), want)
		}
	}
}

// value returns the values of a field, joined.
func value(fields []bridge.Field, name string) string {
	var values []string
	for _, f := range fields {
		if f.Name == name {
			values = append(values, f.Value)
		}
	}
	return strings.Join(values, "|")
}

// carried is a Carry underway.
type carried struct {
	t      testing.TB
	result chan bridge.Result
	cancel context.CancelFunc
}

// startUpstream makes the connections to an endpoint without a gateway in front.
func startUpstream(t testing.TB, e *endpoint) *Upstream {
	t.Helper()
	d := dispatch.New(dispatch.Options{})
	s, err := NewServer(d, &Options{}, bridge.NewMirrors(d), nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); d.Close() })
	return s.NewUpstream(dispatch.EndpointConfig{Address: e.addr})
}

func carry(t testing.TB, up bridge.Endpoint, r *bridge.Request, c bridge.Client) *carried {
	ctx, cancel := context.WithCancel(context.Background())
	k := &carried{t, make(chan bridge.Result, 1), cancel}
	done := make(chan struct{})
	go func() { k.result <- up.Carry(ctx, r, c); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return k
}

// ended waits until Carry has returned and checks how.
func (k *carried) ended(want dispatch.Outcome, unbegun bool) bridge.Result {
	k.t.Helper()
	select {
	case r := <-k.result:
		if r.Outcome != want || r.Unbegun != unbegun {
			k.t.Errorf("the request ended as %v (unbegun: %v, %v), want %v (unbegun: %v)", r.Outcome, r.Unbegun, r.Err, want, unbegun)
		}
		if (r.Err == nil) != (want == dispatch.Completed) {
			k.t.Errorf("the request ended as %v with error %v", r.Outcome, r.Err)
		}
		return r
	case <-time.After(patience):
		k.t.Fatal("the request does not end")
		return bridge.Result{}
	}
}

func bridgedGet() *bridge.Request {
	return &bridge.Request{Method: "GET", Scheme: "http", Authority: "gateway", Path: "/x"}
}

func bridgedPost(length int64) *bridge.Request {
	return &bridge.Request{Method: "POST", Scheme: "http", Authority: "gateway", Path: "/x", Length: length}
}

func TestCarrySendsTheRequestAsItIs(t *testing.T) {
	e := startEndpoint(t)
	up := startUpstream(t, e)
	var s *party
	for i, test := range []struct {
		request bridge.Request
		body    string
		want    fields
	}{
		{bridge.Request{Method: "GET", Authority: "a.example", Path: "/a%2f?b=%"}, "",
			list(":method", "GET", ":path", "/a%2f?b=%", ":authority", "a.example")},
		{bridge.Request{Method: "OPTIONS", Path: "*"}, "", list(":method", "OPTIONS", ":path", "*", ":authority", e.addr)},
		{bridge.Request{Method: "POST", Authority: "a", Path: "/", Length: 4, TakesTrailers: true, ExpectContinue: true}, "body",
			list(":method", "POST", "content-length", "4", "te", "trailers", "expect", "100-continue")},
		{bridge.Request{Method: "POST", Authority: "a", Path: "/", Length: -1, Held: true, Fields: []bridge.Field{
			{Name: "x-a", Value: "1"}, {Name: "x-a", Value: "2"}, {Name: "authorization", Value: "b", Sensitive: true}}}, "body",
			list("x-a", "1|2", "content-length", "", "authorization", "b")},
	} {
		c := newCaller(t, test.body)
		k := carry(t, up, &test.request, c)
		if s == nil {
			s = e.accept()
		}
		q := s.takeWhole()
		if string(q.body) != test.body {
			t.Errorf("request %d came with %q", i, q.body)
		}
		for _, f := range test.want {
			if got := q.head.get(f.Name); got != f.Value {
				t.Errorf("request %d has %s %q, want %q", i, f.Name, got, f.Value)
			}
		}
		s.headers(q, list(":status", "103", "link", "</a>"), false)
		s.headers(q, list(":status", "200", "x-b", "c", "content-length", "2", "keep-alive", "5"), false)
		s.data(q, "ok", false)
		s.headers(q, list("x-sum", "7", "content-length", "3"), true)
		k.ended(dispatch.Completed, false)
		if c.head.Status != 200 || c.head.Length != 2 || c.head.NoBody || value(c.head.Fields, "x-b") != "c" ||
			value(c.head.Fields, "keep-alive") != "" || value(c.head.Fields, "content-length") != "" || c.text() != "ok" || !c.complete || value(c.after, "x-sum") != "7" || len(c.after) != 1 {
			t.Errorf("request %d was answered with %+v %q %v", i, c.head, c.text(), c.after)
		}
		if len(c.interim) != 1 || c.interim[0] != "103 [{link </a> false}]" {
			t.Errorf("interim responses came as %v", c.interim)
		}
	}
	e.idle()
}

func TestCarryStreamsBothWays(t *testing.T) {
	e := startEndpoint(t)
	up := startUpstream(t, e)
	c, w := uploading(t)
	c.trailers = []bridge.Field{{Name: "x-sum", Value: "8"}}
	k := carry(t, up, bridgedPost(-1), c)
	s := e.accept()
	q := s.take()
	s.headers(q, list(":status", "200"), false)
	<-c.headed
	up1, down := "", ""
	for i := range 20 {
		up1 += fmt.Sprint("up", i)
		io.WriteString(w, fmt.Sprint("up", i))
		s.await("a piece", func() bool { return string(q.body) == up1 })
		down += fmt.Sprint("down", i)
		s.data(q, fmt.Sprint("down", i), false)
		c.awaitText(down)
	}
	w.Close()
	s.whole(q)
	if q.trailers.get("x-sum") != "8" {
		t.Errorf("the trailers are %v", q.trailers)
	}
	s.data(q, "", true)
	k.ended(dispatch.Completed, false)
}

func TestCarryOfLongBodies(t *testing.T) {
	e := startEndpoint(t, window(5000))
	up := startUpstream(t, e)
	body := string(pattern(1 << 20))
	c := newCaller(t, body)
	k := carry(t, up, bridgedPost(int64(len(body))), c)
	s := e.accept()
	q := s.takeWhole()
	if string(q.body) != body {
		t.Errorf("%d bytes came, or others", len(q.body))
	}
	s.headers(q, list(":status", "200"), false)
	s.upload(q, []byte(body), true)
	k.ended(dispatch.Completed, false)
	if c.text() != body {
		t.Errorf("%d bytes came back, or others", len(c.text()))
	}
	wantWhole(t, up)
}

// wantWhole fails unless the windows of an endpoint's connections have lost nothing.
func wantWhole(t *testing.T, up *Upstream) {
	t.Helper()
	up.mu.Lock()
	defer up.mu.Unlock()
	for _, u := range up.conns {
		if got := u.received.Load() + u.owed.Load(); got != upstreamWindow {
			t.Errorf("the window of a connection is %d, want %d", got, upstreamWindow)
		}
		if u.taken != 0 {
			t.Errorf("%d places are taken", u.taken)
		}
	}
}

// TestCarryHoldsBackTheEndpoint while its client takes nothing.
func TestCarryHoldsBackTheEndpoint(t *testing.T) {
	e := startEndpoint(t)
	up := startUpstream(t, e)
	c := newCaller(t, "")
	release := make(chan struct{})
	c.taking = func([]byte) error { <-release; return nil }
	k := carry(t, up, bridgedGet(), c)
	s := e.accept()
	q := s.takeWhole()
	s.headers(q, list(":status", "200"), false)
	total := 0
	for s.left(q) > 0 {
		n := int(min(s.left(q), maxFrame))
		s.upload(q, pattern(n), false)
		total += n
		if s.left(q) == 0 {
			s.sync()
		}
	}
	if total > streamWindow+readSize {
		t.Errorf("%d bytes were taken of a response that nobody reads", total)
	}
	close(release)
	s.data(q, "", true)
	k.ended(dispatch.Completed, false)
	if len(c.text()) != total {
		t.Errorf("%d bytes came, want %d", len(c.text()), total)
	}
	wantWhole(t, up)
}

func TestCarryIsCancelled(t *testing.T) {
	for name, before := range map[string]func(s *party, q *record){
		"before the head": func(*party, *record) {},
		"behind the head": func(s *party, q *record) { s.headers(q, list(":status", "200"), false) },
		"amid the body": func(s *party, q *record) {
			s.headers(q, list(":status", "200"), false)
			s.data(q, "abc", false)
		},
	} {
		t.Run(name, func(t *testing.T) {
			e := startEndpoint(t)
			up := startUpstream(t, e)
			c, w := uploading(t)
			k := carry(t, up, bridgedPost(-1), c)
			s := e.accept()
			q := s.take()
			io.WriteString(w, "some")
			before(s, q)
			s.sync()
			k.cancel()
			s.wantReset(q, errCancel)
			k.ended(dispatch.ClientGone, false)
			if q.ended || c.complete {
				t.Error("something came to its end")
			}
			wantWhole(t, up)
		})
	}
	t.Run("while connecting", func(t *testing.T) {
		e := startEndpoint(t)
		k := carry(t, startUpstream(t, e), bridgedGet(), newCaller(t, ""))
		conn := e.acceptRaw()
		k.cancel()
		k.ended(dispatch.ClientGone, false)
		conn.Close()
	})
}

// TestCarryOfAClientThatFails ends as its client's fault, wherever it fails.
func TestCarryOfAClientThatFails(t *testing.T) {
	broken := errors.New("the client has left")
	t.Run("reading", func(t *testing.T) {
		e := startEndpoint(t)
		up := startUpstream(t, e)
		c, w := uploading(t)
		k := carry(t, up, bridgedPost(-1), c)
		s := e.accept()
		q := s.take()
		io.WriteString(w, "some")
		w.CloseWithError(broken)
		s.wantReset(q, errCancel)
		if r := k.ended(dispatch.ClientGone, false); r.Err != broken {
			t.Errorf("the error is %v", r.Err)
		}
		if q.ended {
			t.Error("half a request came to its end")
		}
		wantWhole(t, up)
	})
	t.Run("writing", func(t *testing.T) {
		e := startEndpoint(t)
		up := startUpstream(t, e)
		c := newCaller(t, "")
		c.taking = func([]byte) error { return broken }
		k := carry(t, up, bridgedGet(), c)
		s := e.accept()
		q := s.takeWhole()
		s.headers(q, list(":status", "200"), false)
		s.data(q, "abc", false)
		s.wantReset(q, errCancel)
		k.ended(dispatch.ClientGone, false)
		wantWhole(t, up)
	})
	t.Run("writing, behind the endpoint's end", func(t *testing.T) {
		e := startEndpoint(t)
		up := startUpstream(t, e)
		c := newCaller(t, "")
		ended := make(chan struct{})
		c.taking = func([]byte) error { <-ended; return broken }
		k := carry(t, up, bridgedGet(), c)
		s := e.accept()
		q := s.takeWhole()
		s.headers(q, list(":status", "200"), false)
		s.data(q, "abc", true)
		s.sync()
		close(ended)
		k.ended(dispatch.ClientGone, false)
		wantWhole(t, up)
	})
	t.Run("at the end", func(t *testing.T) {
		e := startEndpoint(t)
		c := newCaller(t, "")
		c.ending = func() error { return broken }
		k := carry(t, startUpstream(t, e), bridgedGet(), c)
		s := e.accept()
		s.respond(s.takeWhole(), "200", "ok")
		k.ended(dispatch.ClientGone, false)
	})
}

func TestCarryOfAnEndpointThatFails(t *testing.T) {
	for name, test := range map[string]struct {
		play    func(s *party, q *record)
		outcome dispatch.Outcome
		unbegun bool
	}{
		"refuses":        {func(s *party, q *record) { s.cancel(q, errRefused) }, dispatch.StreamRefused, true},
		"GOAWAY":         {func(s *party, q *record) { s.sayGoAway(0, errNone) }, dispatch.StreamRefused, true},
		"resets":         {func(s *party, q *record) { s.cancel(q, errInternal) }, dispatch.UpstreamReset, false},
		"closes":         {func(s *party, _ *record) { s.leave() }, dispatch.UpstreamReset, false},
		"malformed head": {func(s *party, q *record) { s.headers(q, list("x-a", "b"), true) }, dispatch.UpstreamBroken, false},
		"DATA first":     {func(s *party, q *record) { s.data(q, "x", false) }, dispatch.UpstreamBroken, false},
		"refuses behind the head": {func(s *party, q *record) {
			s.headers(q, list(":status", "200"), false)
			s.cancel(q, errRefused)
		}, dispatch.UpstreamBroken, false},
		"resets behind the head": {func(s *party, q *record) {
			s.headers(q, list(":status", "200"), false)
			s.cancel(q, errNone)
		}, dispatch.UpstreamBroken, false},
		"closes behind the head": {func(s *party, q *record) {
			s.headers(q, list(":status", "200"), false)
			s.sync()
			s.leave()
		}, dispatch.UpstreamBroken, false},
		"too short": {func(s *party, q *record) {
			s.headers(q, list(":status", "200", "content-length", "9"), false)
			s.data(q, "abc", true)
		}, dispatch.UpstreamBroken, false},
		"too long": {func(s *party, q *record) {
			s.headers(q, list(":status", "200", "content-length", "2"), false)
			s.data(q, "abc", true)
		}, dispatch.UpstreamBroken, false},
		"no body, though promised": {func(s *party, q *record) {
			s.headers(q, list(":status", "200", "content-length", "9"), true)
		}, dispatch.UpstreamBroken, false},
		"a body where none may be": {func(s *party, q *record) {
			s.headers(q, list(":status", "204"), false)
			s.data(q, "abc", true)
		}, dispatch.UpstreamBroken, false},
		"too short, and closes": {func(s *party, q *record) {
			s.headers(q, list(":status", "200", "content-length", "9"), false)
			s.data(q, "abc", true)
			s.sync()
			s.leave()
		}, dispatch.UpstreamBroken, false},
		"two lengths": {func(s *party, q *record) {
			s.headers(q, list(":status", "200", "content-length", "2", "content-length", "2"), false)
		}, dispatch.UpstreamBroken, false},
	} {
		t.Run(name, func(t *testing.T) {
			e := startEndpoint(t)
			up := startUpstream(t, e)
			c := newCaller(t, "body")
			k := carry(t, up, bridgedPost(4), c)
			s := e.accept()
			test.play(s, s.takeWhole())
			k.ended(test.outcome, test.unbegun)
			if c.complete {
				t.Error("the response came to its end")
			}
		})
	}
	t.Run("is dead", func(t *testing.T) {
		k := carry(t, startUpstream(t, unused(t)), bridgedGet(), newCaller(t, ""))
		k.ended(dispatch.ConnectFailed, true)
	})
}

// TestCarryOfAnEarlyResponse ends the upload, and the endpoint is told that the rest does not come.
func TestCarryOfAnEarlyResponse(t *testing.T) {
	for range 20 {
		e := startEndpoint(t)
		up := startUpstream(t, e)
		c, w := uploading(t)
		k := carry(t, up, bridgedPost(-1), c)
		s := e.accept()
		q := s.take()
		io.WriteString(w, "some")
		s.respond(q, "413", "too much")
		k.ended(dispatch.Completed, false)
		if c.text() != "too much" || !c.complete {
			t.Errorf("got %q", c.text())
		}
		s.wantReset(q, errCancel)
		wantWhole(t, up)
	}
}

// TestCarriedResponseOutlivesItsEndpoint relays what has come whole, whatever becomes of the endpoint then.
func TestCarriedResponseOutlivesItsEndpoint(t *testing.T) {
	e := startEndpoint(t)
	up := startUpstream(t, e)
	c := newCaller(t, "")
	release := make(chan struct{})
	c.taking = func([]byte) error { <-release; return nil }
	k := carry(t, up, bridgedGet(), c)
	s := e.accept()
	q := s.takeWhole()
	s.headers(q, list(":status", "200"), false)
	s.upload(q, pattern(100_000), true)
	s.sync()
	s.leave()
	eventually(t, "the connection is gone", func() bool {
		up.mu.Lock()
		defer up.mu.Unlock()
		return len(up.conns) == 0
	})
	close(release)
	k.ended(dispatch.Completed, false)
	if c.text() != string(pattern(100_000)) {
		t.Errorf("%d bytes came, or others", len(c.text()))
	}
}

// TestCarriedResponseIsWholeWhateverResetFollows, as an endpoint declines the rest of a request that way.
func TestCarriedResponseIsWholeWhateverResetFollows(t *testing.T) {
	for _, code := range []errCode{errNone, errCancel} {
		e := startEndpoint(t)
		up := startUpstream(t, e)
		c, w := uploading(t)
		release := make(chan struct{})
		c.taking = func([]byte) error { <-release; return nil }
		k := carry(t, up, bridgedPost(-1), c)
		s := e.accept()
		q := s.take()
		io.WriteString(w, "some")
		s.respond(q, "200", "ok")
		s.cancel(q, code)
		s.sync()
		close(release)
		k.ended(dispatch.Completed, false)
		if c.text() != "ok" || !c.complete {
			t.Errorf("got %q (complete: %v)", c.text(), c.complete)
		}
		wantWhole(t, up)
	}
}

// TestCarryHEAD has no body, whatever the length says.
func TestCarryHEAD(t *testing.T) {
	e := startEndpoint(t)
	up := startUpstream(t, e)
	request := bridgedGet()
	request.Method = "HEAD"
	c := newCaller(t, "")
	k := carry(t, up, request, c)
	s := e.accept()
	s.headers(s.takeWhole(), list(":status", "200", "content-length", "100"), true)
	k.ended(dispatch.Completed, false)
	if !c.head.NoBody || c.head.Length != 100 || !c.complete {
		t.Errorf("got %+v", c.head)
	}
}
