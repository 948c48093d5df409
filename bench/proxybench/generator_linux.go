package main

import (
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
	conns   []conn
	slots   []*slot
	unsent  []*grpcClient // have gathered bytes that are written before the next wait
	result  loadResult
	samples *samples
	window  window

	requests    int64
	events      int64
	outstanding int // requests without a whole answer
	ended       int // streams that have ended
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
		c.close()
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

// connect opens one more connection, for requests that carry the plan, and returns its slots.
func (g *generator) connect(p plan) ([]*slot, error) {
	fd, err := dialSocket(g.spec.Target)
	if err != nil {
		return nil, err
	}
	key := len(g.conns)
	var slots []*slot
	if g.spec.protocol() == protocolGRPC {
		slots = g.addGRPC(fd)
	} else {
		slots = g.addHTTP(fd, p)
	}
	g.slots = append(g.slots, slots...)
	return slots, g.poll.add(fd, key)
}

// send sends a slot's next request.
func (g *generator) send(s *slot) {
	s.conn.send(s)
}

// asked notes that a slot's request was sent.
func (g *generator) asked(s *slot) {
	s.waiting = true
	g.outstanding++
}

// answered notes that a slot's request has its whole answer, or never will.
func (g *generator) answered(s *slot) {
	if s.waiting {
		s.waiting = false
		g.outstanding--
	}
}

// wait returns the connections on which something came, after at most patience, and before that writes what has gathered for some.
func (g *generator) wait(patience time.Duration) ([]syscall.EpollEvent, error) {
	for _, c := range g.unsent {
		c.write()
	}
	g.unsent = g.unsent[:0]
	return g.poll.wait(patience)
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
		if err := g.drain(); err != nil {
			return err
		}
	}
	if g.outstanding > 0 {
		g.result.fail(fmt.Errorf("%d requests had no answer %v after the window", g.outstanding, drainTime))
	}
	g.settle()
	return nil
}
