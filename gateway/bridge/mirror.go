package bridge

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
)

// maxMirrored is how many mirrored requests may be underway at once. Beyond it copies are dropped and counted: a mirror must never
// make the original wait.
const maxMirrored = 512

// Mirrors sends copies of requests to other pools and drops the answers. It is used from any goroutine.
type Mirrors struct {
	dispatcher *dispatch.Dispatcher
	silence    atomic.Int64 // nanoseconds
	ctx        context.Context
	cut        context.CancelFunc

	mu      sync.Mutex
	running int
	closed  bool
	wait    sync.WaitGroup
}

// NewMirrors returns mirrors whose endpoints may be silent for as long as they like; see SetSilence.
func NewMirrors(d *dispatch.Dispatcher) *Mirrors {
	m := &Mirrors{dispatcher: d}
	m.ctx, m.cut = context.WithCancel(context.Background())
	return m
}

// SetSilence sets for how long an endpoint may send nothing before its request is cut, for requests that begin from now on; 0 is
// unlimited.
func (m *Mirrors) SetSilence(d time.Duration) { m.silence.Store(int64(d)) }

// Submit sends a request with its whole body to an endpoint of pool; grpc says that it is a gRPC call. Nobody may change r and body any
// more. It does not wait: where the pool has no room at once, or too many are underway, the request is dropped and the observer told.
func (m *Mirrors) Submit(pool *dispatch.Pool, r *Request, body []byte, grpc bool) {
	m.mu.Lock()
	ok := !m.closed && m.running < maxMirrored
	if ok {
		m.running++
		m.wait.Add(1)
	}
	m.mu.Unlock()
	if !ok {
		m.dispatcher.MirrorDropped(pool, "too_many")
		return
	}
	go func() {
		defer m.wait.Done()
		m.send(pool, r, body, grpc)
		m.mu.Lock()
		m.running--
		m.mu.Unlock()
	}()
}

// Close cuts all mirrored requests and waits for them to end.
func (m *Mirrors) Close() {
	m.mu.Lock()
	m.closed = true
	m.mu.Unlock()
	m.cut()
	m.wait.Wait()
}

var errSilent = errors.New("the endpoint was silent for too long")

func (m *Mirrors) send(pool *dispatch.Pool, r *Request, body []byte, grpc bool) {
	var x dispatch.Exchange
	x.UseMirror(m.dispatcher, pool)
	x.Started = dispatch.Now()
	if !x.AdmitNow() {
		m.dispatcher.MirrorDropped(pool, "no_room")
		x.Finish(dispatch.Refused)
		return
	}
	ctx, cancel := context.WithCancelCause(m.ctx)
	defer cancel(nil)
	c := &mirrorClient{exchange: &x, body: body, silence: time.Duration(m.silence.Load())}
	if c.silence > 0 {
		c.timer = time.AfterFunc(c.silence, func() { cancel(errSilent) })
		defer c.timer.Stop()
	}
	outcome := x.Endpoint.Upstream.(*Upstreams).For(grpc).Carry(ctx, r, c).Outcome
	if outcome == dispatch.ClientGone && context.Cause(ctx) == errSilent {
		outcome = dispatch.UpstreamTimeout
	}
	x.Finish(outcome)
}

// mirrorClient is a client that has sent its body and wants nothing of the answer. What that says of the endpoint's load is taken in.
type mirrorClient struct {
	exchange *dispatch.Exchange
	body     []byte // what has not been read
	stopped  atomic.Bool
	silence  time.Duration
	timer    *time.Timer // nil if silence is unlimited
}

var errStopped = errors.New("the response is over")

func (c *mirrorClient) Read(p []byte) (int, error) {
	switch {
	case c.stopped.Load():
		return 0, errStopped
	case len(c.body) == 0:
		return 0, io.EOF
	}
	n := copy(p, c.body)
	c.body = c.body[n:]
	return n, nil
}

func (c *mirrorClient) Trailers() []Field { return nil }
func (c *mirrorClient) StopReading()      { c.stopped.Store(true) }

func (c *mirrorClient) Interim(int, []Field) error {
	c.heard()
	return nil
}

func (c *mirrorClient) Head(h *Response) error {
	c.heard()
	c.exchange.FirstByte()
	c.exchange.Status = h.Status
	LoadReports(c.exchange, h.Fields)
	return nil
}

func (c *mirrorClient) Write([]byte) error {
	c.heard()
	c.exchange.Answered(dispatch.Now())
	return nil
}

func (c *mirrorClient) End(trailers []Field) error {
	LoadReports(c.exchange, trailers)
	return nil
}

// heard notes that the endpoint is not silent.
func (c *mirrorClient) heard() {
	if c.timer != nil {
		c.timer.Reset(c.silence)
	}
}
