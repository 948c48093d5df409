package http2

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/bridge/bridgetest"
	"github.com/penstock/penstock/gateway/dispatch"
)

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
		c := bridgetest.NewClient(t, test.body)
		k := bridgetest.Carry(t, up, &test.request, c)
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
		k.Ended(dispatch.Completed, false)
		if c.Response.Status != 200 || c.Response.Length != 2 || c.Response.NoBody || value(c.Response.Fields, "x-b") != "c" ||
			value(c.Response.Fields, "keep-alive") != "" || value(c.Response.Fields, "content-length") != "" || c.Text() != "ok" || !c.Complete || value(c.After, "x-sum") != "7" || len(c.After) != 1 {
			t.Errorf("request %d was answered with %+v %q %v", i, c.Response, c.Text(), c.After)
		}
		if len(c.Interims) != 1 || c.Interims[0] != "103 [{link </a> false}]" {
			t.Errorf("interim responses came as %v", c.Interims)
		}
	}
	e.idle()
}

func TestCarryStreamsBothWays(t *testing.T) {
	e := startEndpoint(t)
	up := startUpstream(t, e)
	c, w := bridgetest.NewUploader(t)
	c.Sends = []bridge.Field{{Name: "x-sum", Value: "8"}}
	k := bridgetest.Carry(t, up, bridgedPost(-1), c)
	s := e.accept()
	q := s.take()
	s.headers(q, list(":status", "200"), false)
	<-c.Headed
	up1, down := "", ""
	for i := range 20 {
		up1 += fmt.Sprint("up", i)
		io.WriteString(w, fmt.Sprint("up", i))
		s.await("a piece", func() bool { return string(q.body) == up1 })
		down += fmt.Sprint("down", i)
		s.data(q, fmt.Sprint("down", i), false)
		c.AwaitText(down)
	}
	w.Close()
	s.whole(q)
	if q.trailers.get("x-sum") != "8" {
		t.Errorf("the trailers are %v", q.trailers)
	}
	s.data(q, "", true)
	k.Ended(dispatch.Completed, false)
}

func TestCarryOfLongBodies(t *testing.T) {
	e := startEndpoint(t, window(5000))
	up := startUpstream(t, e)
	body := string(pattern(1 << 20))
	c := bridgetest.NewClient(t, body)
	k := bridgetest.Carry(t, up, bridgedPost(int64(len(body))), c)
	s := e.accept()
	q := s.takeWhole()
	if string(q.body) != body {
		t.Errorf("%d bytes came, or others", len(q.body))
	}
	s.headers(q, list(":status", "200"), false)
	s.upload(q, []byte(body), true)
	k.Ended(dispatch.Completed, false)
	if c.Text() != body {
		t.Errorf("%d bytes came back, or others", len(c.Text()))
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
	c := bridgetest.NewClient(t, "")
	release := make(chan struct{})
	c.Taking = func([]byte) error { <-release; return nil }
	k := bridgetest.Carry(t, up, bridgedGet(), c)
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
	k.Ended(dispatch.Completed, false)
	if len(c.Text()) != total {
		t.Errorf("%d bytes came, want %d", len(c.Text()), total)
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
			c, w := bridgetest.NewUploader(t)
			k := bridgetest.Carry(t, up, bridgedPost(-1), c)
			s := e.accept()
			q := s.take()
			io.WriteString(w, "some")
			before(s, q)
			s.sync()
			k.Cancel()
			s.wantReset(q, errCancel)
			k.Ended(dispatch.ClientGone, false)
			if q.ended || c.Complete {
				t.Error("something came to its end")
			}
			wantWhole(t, up)
		})
	}
	t.Run("while connecting", func(t *testing.T) {
		e := startEndpoint(t)
		k := bridgetest.Carry(t, startUpstream(t, e), bridgedGet(), bridgetest.NewClient(t, ""))
		conn := e.acceptRaw()
		k.Cancel()
		k.Ended(dispatch.ClientGone, false)
		conn.Close()
	})
}

// TestCarryOfAClientThatFails ends as its client's fault, wherever it fails.
func TestCarryOfAClientThatFails(t *testing.T) {
	broken := errors.New("the client has left")
	t.Run("reading", func(t *testing.T) {
		e := startEndpoint(t)
		up := startUpstream(t, e)
		c, w := bridgetest.NewUploader(t)
		k := bridgetest.Carry(t, up, bridgedPost(-1), c)
		s := e.accept()
		q := s.take()
		io.WriteString(w, "some")
		w.CloseWithError(broken)
		s.wantReset(q, errCancel)
		if r := k.Ended(dispatch.ClientGone, false); r.Err != broken {
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
		c := bridgetest.NewClient(t, "")
		c.Taking = func([]byte) error { return broken }
		k := bridgetest.Carry(t, up, bridgedGet(), c)
		s := e.accept()
		q := s.takeWhole()
		s.headers(q, list(":status", "200"), false)
		s.data(q, "abc", false)
		s.wantReset(q, errCancel)
		k.Ended(dispatch.ClientGone, false)
		wantWhole(t, up)
	})
	t.Run("writing, behind the endpoint's end", func(t *testing.T) {
		e := startEndpoint(t)
		up := startUpstream(t, e)
		c := bridgetest.NewClient(t, "")
		ended := make(chan struct{})
		c.Taking = func([]byte) error { <-ended; return broken }
		k := bridgetest.Carry(t, up, bridgedGet(), c)
		s := e.accept()
		q := s.takeWhole()
		s.headers(q, list(":status", "200"), false)
		s.data(q, "abc", true)
		s.sync()
		close(ended)
		k.Ended(dispatch.ClientGone, false)
		wantWhole(t, up)
	})
	t.Run("at the end", func(t *testing.T) {
		e := startEndpoint(t)
		c := bridgetest.NewClient(t, "")
		c.Ending = func() error { return broken }
		k := bridgetest.Carry(t, startUpstream(t, e), bridgedGet(), c)
		s := e.accept()
		s.respond(s.takeWhole(), "200", "ok")
		k.Ended(dispatch.ClientGone, false)
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
			c := bridgetest.NewClient(t, "body")
			k := bridgetest.Carry(t, up, bridgedPost(4), c)
			s := e.accept()
			test.play(s, s.takeWhole())
			k.Ended(test.outcome, test.unbegun)
			if c.Complete {
				t.Error("the response came to its end")
			}
		})
	}
	t.Run("is dead", func(t *testing.T) {
		k := bridgetest.Carry(t, startUpstream(t, unused(t)), bridgedGet(), bridgetest.NewClient(t, ""))
		k.Ended(dispatch.ConnectFailed, true)
	})
}

// TestCarryOfAnEarlyResponse ends the upload, and the endpoint is told that the rest does not come.
func TestCarryOfAnEarlyResponse(t *testing.T) {
	for range 20 {
		e := startEndpoint(t)
		up := startUpstream(t, e)
		c, w := bridgetest.NewUploader(t)
		k := bridgetest.Carry(t, up, bridgedPost(-1), c)
		s := e.accept()
		q := s.take()
		io.WriteString(w, "some")
		s.respond(q, "413", "too much")
		k.Ended(dispatch.Completed, false)
		if c.Text() != "too much" || !c.Complete {
			t.Errorf("got %q", c.Text())
		}
		s.wantReset(q, errCancel)
		wantWhole(t, up)
	}
}

// TestCarriedResponseOutlivesItsEndpoint relays what has come whole, whatever becomes of the endpoint then.
func TestCarriedResponseOutlivesItsEndpoint(t *testing.T) {
	e := startEndpoint(t)
	up := startUpstream(t, e)
	c := bridgetest.NewClient(t, "")
	release := make(chan struct{})
	c.Taking = func([]byte) error { <-release; return nil }
	k := bridgetest.Carry(t, up, bridgedGet(), c)
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
	k.Ended(dispatch.Completed, false)
	if c.Text() != string(pattern(100_000)) {
		t.Errorf("%d bytes came, or others", len(c.Text()))
	}
}

// TestCarriedResponseIsWholeWhateverResetFollows, as an endpoint declines the rest of a request that way.
func TestCarriedResponseIsWholeWhateverResetFollows(t *testing.T) {
	for _, code := range []errCode{errNone, errCancel} {
		e := startEndpoint(t)
		up := startUpstream(t, e)
		c, w := bridgetest.NewUploader(t)
		release := make(chan struct{})
		c.Taking = func([]byte) error { <-release; return nil }
		k := bridgetest.Carry(t, up, bridgedPost(-1), c)
		s := e.accept()
		q := s.take()
		io.WriteString(w, "some")
		s.respond(q, "200", "ok")
		s.cancel(q, code)
		s.sync()
		close(release)
		k.Ended(dispatch.Completed, false)
		if c.Text() != "ok" || !c.Complete {
			t.Errorf("got %q (complete: %v)", c.Text(), c.Complete)
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
	c := bridgetest.NewClient(t, "")
	k := bridgetest.Carry(t, up, request, c)
	s := e.accept()
	s.headers(s.takeWhole(), list(":status", "200", "content-length", "100"), true)
	k.Ended(dispatch.Completed, false)
	if !c.Response.NoBody || c.Response.Length != 100 || !c.Complete {
		t.Errorf("got %+v", c.Response)
	}
}
