package traffic

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strconv"
	"strings"
	"time"
)

// httpClient is one client of HTTP/1.1 as users have them: net/http's Transport, which keeps connections. When a kept connection turns out to
// be closed before a byte of the response came, the Transport itself sends a request again on another connection if it can know that nothing
// was written, and so do all users' clients of Go; a POST that was written is not sent again. The driver never sends a request twice.
type httpClient struct {
	transport *http.Transport
	single    *http.Transport // which keeps none, for unary requests; nil if they use the other, too
}

func newHTTPClient(newConnections bool) *httpClient {
	c := &httpClient{transport: newTransport()}
	if newConnections {
		c.single = newTransport()
		c.single.DisableKeepAlives = true
	}
	return c
}

func newTransport() *http.Transport {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	return &http.Transport{
		DialContext:         (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		MaxIdleConnsPerHost: 64, // the default of 2 would make a new connection for most requests
		IdleConnTimeout:     90 * time.Second,
		DisableCompression:  true, // bytes are counted as they come
		Protocols:           &protocols,
	}
}

func (c *httpClient) close() { c.transport.CloseIdleConnections() }

// newRequest makes a request for a chat completion.
func newRequest(ctx context.Context, o *Options, e *exchange) (*http.Request, error) {
	body := fmt.Appendf(nil, `{"model":%s,"messages":[{"role":"user","content":"This is request %d."}],"max_tokens":%d`, quote(o.Model), e.number, e.tokens)
	if e.kind == SSE {
		body = append(body, `,"stream":true,"stream_options":{"include_usage":true}`...)
	}
	body = append(body, '}')
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+o.Target+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	for name, values := range o.Header {
		r.Header[http.CanonicalHeaderKey(name)] = values
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("x-request-id", e.id)
	if e.user != "" {
		r.Header.Set("x-user-id", e.user)
	}
	return r, nil
}

func quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic("BUG: cannot encode a text: " + err.Error())
	}
	return b
}

// send sends a request and reads all of its answer.
func (c *httpClient) send(ctx context.Context, o *Options, e *exchange) {
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(i httptrace.GotConnInfo) {
		e.connections++
		e.reused = i.Reused
	}})
	r, err := newRequest(ctx, o, e)
	if err != nil {
		e.ends(Failed, "cannot make the request: %v", err)
		return
	}
	transport := c.transport
	if e.kind == Unary && c.single != nil {
		transport = c.single
	}
	w, err := transport.RoundTrip(r)
	if err != nil {
		e.ends(Failed, "%v", because(ctx, err))
		return
	}
	defer w.Body.Close()
	e.server, e.known = serverOf(w.Header.Get), time.Now()
	e.status = strconv.Itoa(w.StatusCode)
	switch {
	case w.StatusCode != http.StatusOK:
		e.refuse(w)
	case e.kind == SSE:
		e.readEvents(ctx, o, w)
	default:
		e.readWhole(ctx, o, w)
	}
}

// refuse reads an answer that says no.
func (e *exchange) refuse(w *http.Response) {
	const most = 64 << 10
	body, err := io.ReadAll(io.LimitReader(w.Body, most))
	e.bytes = len(body)
	var said struct {
		Error struct{ Message, Code string }
	}
	if json.Unmarshal(body, &said) == nil && said.Error.Message != "" {
		e.code = said.Error.Code
		e.ends(Refused, "%s", said.Error.Message)
		return
	}
	e.ends(Refused, "%s, %v", body, err)
}

func (e *exchange) readWhole(ctx context.Context, o *Options, w *http.Response) {
	const most = 8 << 20
	body, err := io.ReadAll(io.LimitReader(w.Body, most))
	e.bytes = len(body)
	if err != nil {
		e.ends(Cut, "%v", because(ctx, err))
		return
	}
	e.piece(time.Now())
	if err := checkWhole(body, o.Model, e.tokens); err != nil {
		e.ends(Truncated, "%v", err)
		return
	}
	e.outcome = OK
}

// maxLine bounds a line of a stream.
const maxLine = 1 << 20

func (e *exchange) readEvents(ctx context.Context, o *Options, w *http.Response) {
	v := events{model: o.Model, want: e.tokens}
	if kind := w.Header.Get("Content-Type"); !strings.HasPrefix(kind, "text/event-stream") {
		v.fail("the content type is %q", kind)
	}
	buffer := make([]byte, 16<<10)
	for held := 0; ; {
		if held == len(buffer) {
			if held >= maxLine {
				e.ends(Truncated, "a line has more than %d bytes", maxLine)
				return
			}
			buffer = append(buffer, make([]byte, len(buffer))...)
		}
		n, err := w.Body.Read(buffer[held:])
		e.bytes += n
		rest := v.read(buffer[:held+n], e, time.Now())
		held = copy(buffer, rest)
		if err == io.EOF {
			e.endEvents(&v, buffer[:held])
			return
		}
		if err != nil {
			e.ends(Cut, "%v", because(ctx, err))
			return
		}
	}
}

// endEvents judges a stream whose body has ended cleanly, maybe within a line.
func (e *exchange) endEvents(v *events, rest []byte) {
	if len(rest) > 0 {
		v.fail("the stream ends within the line %q", rest)
	}
	switch err := v.check(); {
	case v.refusal != "":
		e.ends(Cut, "an error came as an event: %s", v.refusal)
	case err != nil:
		e.ends(Truncated, "%v", err)
	default:
		e.outcome = OK
	}
}

// because adds why a context has ended to an error that comes of that.
func because(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil {
		return fmt.Errorf("%w (%w)", err, cause)
	}
	return err
}
