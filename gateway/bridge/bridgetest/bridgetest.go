// Package bridgetest has the client that tests of bridged requests hand to an engine's Carry.
package bridgetest

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

// patience is how long a test waits for what must happen.
const patience = 10 * time.Second

// Client is a client of another protocol, as an engine hands it to Carry.
type Client struct {
	// Body is the request's body, and Sends its trailers.
	Body  io.Reader
	Sends []bridge.Field
	// Stop is what StopReading does, Taking what Write does before it takes anything, Ending what End does; each may be nil.
	Stop   func()
	Taking func([]byte) error
	Ending func() error
	// Stopped is closed by the first StopReading, Headed when the final head has come; Wrote takes a value for each Write, if there is room.
	Stopped chan struct{}
	Headed  chan struct{}
	Wrote   chan struct{}
	// Interims, Response, Complete and After are the response so far: its interim heads, its final head, whether it came to its end, and the
	// trailers. They may be read once the request has ended.
	Interims []string
	Response bridge.Response
	Complete bool
	After    []bridge.Field

	t     testing.TB
	mu    sync.Mutex
	got   bytes.Buffer
	stops sync.Once
}

// NewClient returns a client whose request has a body, which may be empty.
func NewClient(t testing.TB, body string) *Client {
	return &Client{
		t: t, Body: strings.NewReader(body), Stopped: make(chan struct{}), Headed: make(chan struct{}), Wrote: make(chan struct{}, 1),
	}
}

// NewUploader returns a client whose body the test writes while the request is underway.
func NewUploader(t testing.TB) (*Client, *io.PipeWriter) {
	c := NewClient(t, "")
	r, w := io.Pipe()
	c.Body, c.Stop = r, func() { r.CloseWithError(errors.New("stopped")) }
	t.Cleanup(func() { r.Close() })
	return c, w
}

// Read reads the request's body, and fails after StopReading.
func (c *Client) Read(p []byte) (int, error) {
	select {
	case <-c.Stopped:
		return 0, errors.New("read after StopReading")
	default:
		return c.Body.Read(p)
	}
}

// Trailers returns Sends.
func (c *Client) Trailers() []bridge.Field { return c.Sends }

// StopReading runs Stop.
func (c *Client) StopReading() {
	c.stops.Do(func() {
		close(c.Stopped)
		if c.Stop != nil {
			c.Stop()
		}
	})
}

// Interim keeps an interim head.
func (c *Client) Interim(status int, fields []bridge.Field) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Interims = append(c.Interims, fmt.Sprint(status, fields))
	return nil
}

// Head keeps the final head.
func (c *Client) Head(h *bridge.Response) error {
	c.mu.Lock()
	c.Response = *h
	c.mu.Unlock()
	close(c.Headed)
	return nil
}

// Write keeps a piece of the body.
func (c *Client) Write(p []byte) error {
	if c.Taking != nil {
		if err := c.Taking(p); err != nil {
			return err
		}
	}
	c.mu.Lock()
	c.got.Write(p)
	c.mu.Unlock()
	select {
	case c.Wrote <- struct{}{}:
	default:
	}
	return nil
}

// End keeps the trailers.
func (c *Client) End(trailers []bridge.Field) error {
	if c.Ending != nil {
		if err := c.Ending(); err != nil {
			return err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.Complete, c.After = true, trailers
	return nil
}

// Text returns what has come of the response's body.
func (c *Client) Text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.got.String()
}

// AwaitText waits until the response's body is want.
func (c *Client) AwaitText(want string) {
	c.t.Helper()
	for deadline := time.After(patience); c.Text() != want; {
		select {
		case <-c.Wrote:
		case <-deadline:
			c.t.Fatalf("the body is %.80q, want %.80q", c.Text(), want)
		}
	}
}

// Carried is a Carry underway.
type Carried struct {
	t      testing.TB
	result chan bridge.Result
	// Cancel ends the request as its client's leaving does.
	Cancel context.CancelFunc
}

// Carry starts to carry a request, and ends it with the test.
func Carry(t testing.TB, up bridge.Endpoint, r *bridge.Request, c bridge.Client) *Carried {
	ctx, cancel := context.WithCancel(context.Background())
	k := &Carried{t, make(chan bridge.Result, 1), cancel}
	done := make(chan struct{})
	go func() { k.result <- up.Carry(ctx, r, c); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return k
}

// Ended waits until Carry has returned and checks how.
func (k *Carried) Ended(want dispatch.Outcome, unbegun bool) bridge.Result {
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
