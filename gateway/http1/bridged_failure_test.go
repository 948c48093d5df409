package http1

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/dispatch"
)

func TestBridgedResponseThatBreaksOffNeverEndsCleanly(t *testing.T) {
	broken := bridge.Result{Outcome: dispatch.UpstreamBroken, Err: errors.New("the stream was reset")}
	for _, test := range []struct {
		name, version string
		length        int64
		play          func(c bridge.Client) bridge.Result // behind the head
	}{
		{"the endpoint fails, chunks", "1.1", -1, func(c bridge.Client) bridge.Result { return broken }},
		{"the endpoint fails, by length", "1.1", 10, func(c bridge.Client) bridge.Result { return broken }},
		{"the endpoint fails, HTTP/1.0", "1.0", -1, func(c bridge.Client) bridge.Result { return broken }},
		{"no end", "1.1", -1, func(c bridge.Client) bridge.Result { return bridge.Result{} }},
		{"less than the length", "1.1", 10, func(c bridge.Client) bridge.Result {
			if c.End(nil) == nil {
				t.Error("a body that is too short may end")
			}
			return bridge.Result{}
		}},
		{"more than the length", "1.1", 6, func(c bridge.Client) bridge.Result {
			if c.Write([]byte("more")) == nil {
				t.Error("a body may be longer than its length")
			}
			return bridge.Result{Outcome: dispatch.ClientGone}
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			g, c := startBridged(t, elsewhere, func(_ context.Context, r *bridge.Request, c bridge.Client) bridge.Result {
				c.Head(&bridge.Response{Status: 200, Length: test.length})
				c.Write([]byte("begin"))
				return test.play(c)
			})
			c.send("GET /x HTTP/" + test.version + "\r\nHost: gateway\r\n\r\n")
			res, err := http.ReadResponse(c.r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if rest, err := io.ReadAll(res.Body); err == nil || !strings.HasPrefix("begin", string(rest)) {
				t.Errorf("the client's response ended with %v after %q", err, rest)
			}
			g.wantEnded(0, dispatch.UpstreamBroken, 200)
		})
	}
}

func TestBridgedFailuresBecomeAnswers(t *testing.T) {
	fail := func(o dispatch.Outcome) scripted {
		return func(context.Context, *bridge.Request, bridge.Client) bridge.Result {
			return bridge.Result{Outcome: o, Err: errors.New("because")}
		}
	}
	head := func(f bridge.Field) scripted {
		return func(_ context.Context, _ *bridge.Request, c bridge.Client) bridge.Result {
			return respond(c, bridge.Response{Status: 200, Fields: []bridge.Field{f}}, nil)
		}
	}
	for _, test := range []struct {
		name   string
		play   scripted
		status int
		code   string
	}{
		{"no connection", fail(dispatch.ConnectFailed), 502, "connect_failed"},
		{"a reset", fail(dispatch.UpstreamReset), 502, "upstream_reset"},
		{"a malformed answer", fail(dispatch.UpstreamBroken), 502, "upstream_broken"},
		{"no answer in time", fail(dispatch.UpstreamTimeout), 504, "upstream_timeout"},
		{"nothing", fail(dispatch.Completed), 502, "upstream_broken"},
		{"a line end in a value", head(bridge.Field{Name: "x", Value: "a\r\nb: c"}), 502, "upstream_broken"},
		{"a line end in a name", head(bridge.Field{Name: "x\r\ny", Value: "a"}), 502, "upstream_broken"},
		{"framing of its own", head(bridge.Field{Name: "transfer-encoding", Value: "chunked"}), 502, "upstream_broken"},
		{"a length of its own", head(bridge.Field{Name: "content-length", Value: "5"}), 502, "upstream_broken"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g, c := startBridged(t, elsewhere, test.play)
			c.send(post("/x", "{}"))
			if res, body := c.response("POST"); res.StatusCode != test.status || !strings.Contains(body, `"code":"`+test.code+`"`) {
				t.Errorf("got %d %s, want %d %s", res.StatusCode, body, test.status, test.code)
			}
			g.wantEnded(0, dispatch.Refused, test.status)
		})
	}
}

func TestBridgedEarlyResponseEndsTheUpload(t *testing.T) {
	g, c := startBridged(t, elsewhere, func(_ context.Context, r *bridge.Request, c bridge.Client) bridge.Result {
		reading := make(chan error)
		began := make(chan struct{})
		go func() {
			b := make([]byte, 5)
			io.ReadFull(readerOf(c), b)
			close(began)
			_, err := c.Read(b)
			reading <- err
		}()
		<-began
		result := respond(c, bridge.Response{Status: 413, Length: 8}, []string{"too much"})
		c.StopReading()
		if err := <-reading; err == nil || err == io.EOF {
			t.Errorf("reading ended with %v, want an error", err)
		}
		if _, err := c.Read(make([]byte, 5)); err == nil || err == io.EOF {
			t.Errorf("reading again ended with %v, want an error", err)
		}
		return result
	})
	c.send(uploadHead + chunk("begin"))
	if res, body := c.response("POST"); res.StatusCode != 413 || body != "too much" || !res.Close {
		t.Errorf("got %d %q (close: %v), want 413 and close", res.StatusCode, body, res.Close)
	}
	c.closed()
	g.wantEnded(0, dispatch.Completed, 413)
}

func TestBrokenUploadsOverTheBridge(t *testing.T) {
	for _, test := range []struct {
		name, sent string
		status     int
		code       string
	}{
		{"a bad chunk", "x\r\n", 400, "invalid_chunk"},
		{"beyond the limit", chunk(strings.Repeat("x", 1000)), 413, "body_too_large"},
		{"a pause", "", 408, "request_timeout"},
	} {
		t.Run(test.name, func(t *testing.T) {
			g, c := startBridged(t, elsewhere+"limits: {bodyBytes: 500}\ntimeouts: {requestBody: 50ms}\n",
				func(ctx context.Context, r *bridge.Request, c bridge.Client) bridge.Result {
					_, err := io.Copy(io.Discard, readerOf(c))
					if err == nil {
						t.Error("the body looks complete")
					}
					<-ctx.Done() // the call is ended, too
					return bridge.Result{Outcome: dispatch.ClientGone, Err: err}
				})
			c.send(uploadHead + chunk("begin"))
			c.send(test.sent)
			if res, body := c.response("POST"); res.StatusCode != test.status || !strings.Contains(body, test.code) || !res.Close {
				t.Errorf("got %d %s (close: %v), want %d %s", res.StatusCode, body, res.Close, test.status, test.code)
			}
			g.wantEnded(0, dispatch.Refused, test.status)
		})
	}
}
