package http1

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
	body     io.Reader // of the request; nil is an empty one
	trailers []bridge.Field
	stopped  chan struct{}
	headed   chan struct{}      // closed when the final head has come
	wrote    chan struct{}      // takes a value for each Write, if there is room
	taking   func([]byte) error // what Write does before it takes anything
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

// awaitText waits until the response's body is want.
func (c *caller) awaitText(want string) {
	c.t.Helper()
	for deadline := time.After(patience); c.text() != want; {
		select {
		case <-c.wrote:
		case <-deadline:
			c.t.Fatalf("the body is %q, want %q", c.text(), want)
		}
	}
}

// startUpstream makes the connection pool of a backend.
func startUpstream(t testing.TB, b *backend) *Upstream {
	t.Helper()
	d := dispatch.New(dispatch.Options{})
	s, err := NewServer(d, &Options{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close(); d.Close() })
	return s.NewUpstream(dispatch.EndpointConfig{Address: b.addr, IdleConnections: 8})
}

// carried is a Carry underway.
type carried struct {
	t      testing.TB
	result chan bridge.Result
	cancel context.CancelFunc
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
			k.t.Errorf("the call ended as %v (unbegun: %v, %v), want %v (unbegun: %v)", r.Outcome, r.Unbegun, r.Err, want, unbegun)
		}
		if (r.Err == nil) != (want == dispatch.Completed) {
			k.t.Errorf("the call ended as %v with error %v", r.Outcome, r.Err)
		}
		return r
	case <-time.After(patience):
		k.t.Fatal("the call does not end")
		return bridge.Result{}
	}
}

func get(path string) *bridge.Request {
	return &bridge.Request{Method: "GET", Scheme: "http", Authority: "gateway", Path: path}
}

// postOf is a request with a body, which is held if length is its own.
func postOf(length int64, held bool) *bridge.Request {
	return &bridge.Request{Method: "POST", Scheme: "http", Authority: "gateway", Path: "/v1/x", Length: length, Held: held}
}

func TestCarrySendsTheRequestAsItIs(t *testing.T) {
	fields := []bridge.Field{{Name: "content-type", Value: "application/json"}, {Name: "x-a", Value: "1"}, {Name: "x-a", Value: "2"}}
	tests := []struct {
		name    string
		request bridge.Request
		body    string
		want    string
	}{
		{"no body", bridge.Request{Method: "GET", Authority: "api.example", Path: "/a%2f?b=%"}, "",
			"GET /a%2f?b=% HTTP/1.1\r\nHost: api.example\r\n\r\n"},
		{"no authority", bridge.Request{Method: "OPTIONS", Path: "*"}, "", "OPTIONS * HTTP/1.1\r\nHost: ADDRESS\r\n\r\n"},
		{"fields in order", bridge.Request{Method: "GET", Authority: "a", Path: "/", Fields: fields}, "",
			"GET / HTTP/1.1\r\nHost: a\r\ncontent-type: application/json\r\nx-a: 1\r\nx-a: 2\r\n\r\n"},
		{"an empty POST", bridge.Request{Method: "POST", Authority: "a", Path: "/"}, "", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n"},
		{"trailers are taken", bridge.Request{Method: "GET", Authority: "a", Path: "/", TakesTrailers: true}, "",
			"GET / HTTP/1.1\r\nHost: a\r\nConnection: TE\r\nTE: trailers\r\n\r\n"},
		{"a held body", bridge.Request{Method: "POST", Authority: "a", Path: "/", Length: 4, Held: true, ExpectContinue: true}, "body",
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"},
		{"a held body of unknown length", bridge.Request{Method: "POST", Authority: "a", Path: "/", Length: -1, Held: true}, "body",
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\n\r\n"},
		{"a held body of unknown length that is empty", bridge.Request{Method: "POST", Authority: "a", Path: "/", Length: -1, Held: true}, "",
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
		{"an uploaded body", bridge.Request{Method: "POST", Authority: "a", Path: "/", Length: 4}, "body",
			"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody"},
		{"an uploaded body of unknown length", bridge.Request{Method: "POST", Authority: "a", Path: "/", Length: -1, ExpectContinue: true}, "body",
			"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n4\r\nbody\r\n0\r\n\r\n"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := startBackend(t)
			up := startUpstream(t, b)
			c := newCaller(t, test.body)
			k := carry(t, up, &test.request, c)
			s := b.accept()
			s.expect(strings.ReplaceAll(test.want, "ADDRESS", b.addr))
			s.send(plain(200, `{"ok":true}`))
			k.ended(dispatch.Completed, false)
			if c.text() != `{"ok":true}` || !c.complete || c.head.Status != 200 || c.head.Length != 11 || c.head.NoBody {
				t.Errorf("got %+v %q", c.head, c.text())
			}
		})
	}
}

func TestCarrySendsLongBodiesWhole(t *testing.T) {
	long := strings.Repeat("0123456789", 100_000)
	for _, length := range []int64{int64(len(long)), -1} {
		for _, held := range []bool{true, false} {
			t.Run(fmt.Sprintf("length %d, held %v", length, held), func(t *testing.T) {
				b := startBackend(t)
				up := startUpstream(t, b)
				c := newCaller(t, long)
				k := carry(t, up, postOf(length, held), c)
				s := b.accept()
				if req, body := s.request(); body != long || req.ContentLength != length {
					t.Errorf("got %d bytes of %d", len(body), req.ContentLength)
				}
				s.send(plain(200, "ok"))
				k.ended(dispatch.Completed, false)
			})
		}
	}
}

func TestCarryRefusesWhatWouldBeAnotherRequest(t *testing.T) {
	field := func(name, value string) bridge.Request {
		return bridge.Request{Method: "GET", Authority: "a", Path: "/", Fields: []bridge.Field{{Name: name, Value: value}}}
	}
	for name, r := range map[string]bridge.Request{
		"CR in the method":       {Method: "GET\r", Authority: "a", Path: "/"},
		"space in the method":    {Method: "GET / HTTP/1.1", Authority: "a", Path: "/"},
		"no method":              {Authority: "a", Path: "/"},
		"LF in the path":         {Method: "GET", Authority: "a", Path: "/\nx"},
		"space in the path":      {Method: "GET", Authority: "a", Path: "/ HTTP/1.1"},
		"no path":                {Method: "GET", Authority: "a"},
		"CRLF in the authority":  {Method: "GET", Authority: "a\r\nx: y", Path: "/"},
		"CR in a name":           field("x\r", "y"),
		"colon in a name":        field("x: y", "z"),
		"no name":                field("", "z"),
		"CRLF in a value":        field("x", "a\r\nb: c"),
		"NUL in a value":         field("x", "a\x00b"),
		"a field of the framing": field("transfer-encoding", "chunked"),
		"a length of its own":    field("Content-Length", "5"),
		"a Host of its own":      field("host", "b"),
		"a field of the hop":     field("connection", "close"),
	} {
		t.Run(name, func(t *testing.T) {
			b := startBackend(t)
			up := startUpstream(t, b)
			k := carry(t, up, &r, newCaller(t, ""))
			if res := k.ended(dispatch.ClientGone, false); res.Err == nil || !strings.HasPrefix(res.Err.Error(), "cannot send a request") {
				t.Errorf("the error is %v", res.Err)
			}
			b.idle()
		})
	}
}
