package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

// generator is one run of load: one thread, its connections and what it has counted.
type generator struct {
	spec    loadSpec
	poll    *epoll
	conns   []*client
	result  loadResult
	samples *samples
	window  window

	requests    int64
	events      int64
	outstanding int // requests without a whole answer
	ended       int // streams that have ended
}

// client is the generator's end of one connection.
type client struct {
	key       int
	fd        int
	request   []byte
	in        []byte
	held      int // bytes in in
	scheduled int64
	waiting   bool // for an answer
	inBody    bool // the head of a stream was read
	decoder   eventDecoder
	want      int // events that the stream must have
}

const (
	drainTime  = 5 * time.Second       // the longest wait for what is still to come after the window
	pollTime   = 50 * time.Millisecond // the longest wait for events before the clock is looked at again
	maxSamples = 1 << 20
)

// generate runs the load and returns what it measured. Errors of single requests are in the result; an error is returned where
// the load could not be run at all.
func generate(spec loadSpec) (loadResult, error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	preciseTimers()
	poll, err := newEpoll()
	if err != nil {
		return loadResult{}, err
	}
	g := &generator{spec: spec, poll: poll, samples: newSamples(maxSamples)}
	defer g.close()
	if err := g.run(); err != nil {
		return loadResult{}, err
	}
	return g.result, nil
}

func (g *generator) close() {
	for _, c := range g.conns {
		if c.fd >= 0 {
			closeReset(c.fd)
		}
	}
	g.poll.close()
}

func (g *generator) run() error {
	switch g.spec.Shape {
	case shapeClosed:
		return g.closedLoop()
	case shapeOpen:
		return g.openLoop()
	case shapeStream:
		return g.streams()
	case shapeHold:
		return g.hold()
	}
	return fmt.Errorf("the shape %q is none of %s, %s, %s, %s", g.spec.Shape, shapeClosed, shapeOpen, shapeStream, shapeHold)
}

// connect opens one more connection that will send the plan.
func (g *generator) connect(p plan) (*client, error) {
	fd, err := dialSocket(g.spec.Target)
	if err != nil {
		return nil, err
	}
	size := 16 << 10
	if p.Kind == kindHold {
		size = 1 << 10
	}
	c := &client{key: len(g.conns), fd: fd, request: p.request(), in: make([]byte, size), want: p.Events}
	g.conns = append(g.conns, c)
	return c, g.poll.add(fd, c.key)
}

var errShortWrite = errors.New("the socket did not take a whole request")

func (g *generator) send(c *client) {
	n, errno := writeSocket(c.fd, c.request)
	if errno != 0 {
		g.fail(c, fmt.Errorf("cannot send a request: %w", errno))
		return
	}
	if n < len(c.request) {
		g.fail(c, errShortWrite)
		return
	}
	c.waiting = true
	g.outstanding++
}

// answered notes that a request has its whole answer, or never will.
func (g *generator) answered(c *client) {
	if c.waiting {
		c.waiting = false
		g.outstanding--
	}
}

// fail notes an error and gives the connection up.
func (g *generator) fail(c *client, err error) {
	g.result.fail(err)
	g.answered(c)
	if c.fd >= 0 {
		closeReset(c.fd)
		c.fd = -1
	}
}

var (
	errClosed     = errors.New("the proxy closed the connection")
	errUnasked    = errors.New("the proxy sent bytes without a request")
	errLongHead   = errors.New("the head of a response is larger than the buffer")
	errWrongReply = errors.New("the body of a response differs from what the backend sent")
)

// receive reads once and returns the new bytes; none where nothing has come or the connection failed.
func (g *generator) receive(c *client) []byte {
	if c.fd < 0 {
		return nil
	}
	n, errno := readSocket(c.fd, c.in[c.held:])
	switch {
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
		return nil
	case errno != 0:
		g.fail(c, fmt.Errorf("cannot read a response: %w", errno))
		return nil
	case n == 0:
		g.fail(c, errClosed)
		return nil
	case !c.waiting:
		g.fail(c, errUnasked)
		return nil
	}
	c.held += n
	return c.in[c.held-n : c.held]
}

// head checks a response's head and returns where its body starts; 0 while the head is not complete.
func (g *generator) head(c *client) int {
	got := c.in[:c.held]
	end := bytes.Index(got, headEnd)
	if end < 0 {
		if c.held == len(c.in) {
			g.fail(c, errLongHead)
		}
		return 0
	}
	if !bytes.HasPrefix(got, statusOKStart) {
		line, _, _ := bytes.Cut(got, []byte("\r\n"))
		g.fail(c, fmt.Errorf("the proxy answered %q", line))
		return 0
	}
	return end + len(headEnd)
}

// readReply reads a JSON response and reports whether it is complete.
func (g *generator) readReply(c *client) bool {
	if g.receive(c) == nil {
		return false
	}
	start := g.head(c)
	if start == 0 || c.held < start+replySize {
		return false
	}
	if !bytes.Equal(c.in[start:c.held], jsonReplyBody) {
		g.fail(c, errWrongReply)
		return false
	}
	c.held = 0
	g.answered(c)
	g.requests++
	return true
}

// window is the part of a load that is measured, after the warm-up.
type window struct {
	start, end   int64
	began, ended bool
	first, last  snapshot
}

// snapshot is all counters at one moment.
type snapshot struct {
	at                        int64
	requests, events          int64
	proxy, backend, generator usage
	proxyCore, loadCore       coreTime
}

// open sets the window after the warm-up, from now on.
func (g *generator) open() {
	g.window.start = now() + g.spec.WarmUp.Nanoseconds()
	g.window.end = g.window.start + g.spec.Window.Nanoseconds()
}

// tick begins and ends the window when their time has come.
func (g *generator) tick(at int64) error {
	w := &g.window
	var err error
	switch {
	case !w.began && at >= w.start:
		w.began = true
		g.samples.reset()
		w.first, err = g.snapshot()
	case !w.ended && at >= w.end:
		w.ended = true
		w.last, err = g.snapshot()
	}
	return err
}

func (g *generator) snapshot() (s snapshot, err error) {
	s.at, s.requests, s.events = now(), g.requests, g.events
	if s.proxy, err = usageOf(g.spec.Proxy); err != nil {
		return s, err
	}
	if s.proxyCore, err = coreTimeOf(g.spec.ProxyCores); err != nil {
		return s, err
	}
	if s.loadCore, err = coreTimeOf(g.spec.LoadCores); err != nil {
		return s, err
	}
	if s.backend, err = usageOf(g.spec.Backend); err != nil {
		return s, err
	}
	s.generator, err = usageOf([]int{os.Getpid()})
	return s, err
}

// A measurement without a whole window, or with nothing in it, does not count: its differences mean nothing.
var (
	errNoWindow    = errors.New("the load ended before the window did")
	errEmptyWindow = errors.New("nothing came through in the window")
)

// settle puts what happened between the window's ends into the result.
func (g *generator) settle() {
	if !g.window.ended {
		if g.result.Failures == 0 {
			g.result.fail(errNoWindow)
		}
		return
	}
	first, last, r := &g.window.first, &g.window.last, &g.result
	r.Requests, r.Events, r.Nanos = last.requests-first.requests, last.events-first.events, last.at-first.at
	r.Proxy, r.Backend = last.proxy.since(first.proxy), last.backend.since(first.backend)
	r.Generator = last.generator.since(first.generator)
	r.ProxyCore = coreTime{Busy: last.proxyCore.Busy - first.proxyCore.Busy, Total: last.proxyCore.Total - first.proxyCore.Total}
	r.LoadCore = coreTime{Busy: last.loadCore.Busy - first.loadCore.Busy, Total: last.loadCore.Total - first.loadCore.Total}
	r.P50, r.P99 = g.samples.quantile(0.50), g.samples.quantile(0.99)
	// Held streams are meant to be silent.
	if r.Requests+r.Events == 0 && r.Failures == 0 && g.spec.Shape != shapeHold {
		r.fail(errEmptyWindow)
	}
}

// finish waits for the answers that are still to come, so that a lost one is noticed, and settles the result.
func (g *generator) finish() error {
	deadline := g.window.end + drainTime.Nanoseconds()
	for g.outstanding > 0 && now() < deadline {
		events, err := g.poll.wait(pollTime)
		if err != nil {
			return err
		}
		for i := range events {
			g.readReply(g.conns[events[i].Fd])
		}
	}
	if g.outstanding > 0 {
		g.result.fail(fmt.Errorf("%d requests had no answer %v after the window", g.outstanding, drainTime))
	}
	g.settle()
	return nil
}
