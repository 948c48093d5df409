// Package traffic is the load of the end-to-end suite: clients as users have them, which send to a gateway at a steady rate whatever becomes
// of their requests, verify every answer strictly, and say of each that was not right what happened. Program trafficd runs it in a cluster.
package traffic

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"
)

// Driver sends requests. Its methods are safe for concurrent use.
type Driver struct {
	options Options
	name    string // begins every request's id
	https   []*httpClient
	grpcs   []*grpcClient

	ended   func(*exchange)  // observes the ends of requests in tests; may be nil
	arrived func(pieces int) // observes the pieces of answers in tests; may be nil

	requests sync.WaitGroup
	control  sync.Mutex // is held by Start, Stop and Close, of which one runs at a time
	pacers   sync.WaitGroup
	pause    context.CancelFunc      // ends the pacers; nil while nothing is sent
	breakOff context.CancelCauseFunc // ends the requests
	closed   bool

	mu       sync.Mutex // also guards the period
	running  bool
	number   int64
	turns    map[Kind]int // counts requests of each kind: clients and users take turns in each
	underway int
	period   *period
}

// New makes a driver that sends nothing yet. It must be closed.
func New(o Options) (*Driver, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.fill()
	d := &Driver{options: o, name: "e2e-" + strconv.FormatInt(time.Now().UnixMilli(), 36), turns: make(map[Kind]int), period: newPeriod(nil)}
	for range o.Clients {
		d.https = append(d.https, newHTTPClient(o.NewConnections))
		g, err := newGRPCClient(o.Target)
		if err != nil {
			d.Close()
			return nil, err
		}
		d.grpcs = append(d.grpcs, g)
	}
	return d, nil
}

// Errors of Start.
var (
	ErrRunning = errors.New("cannot start the traffic: it runs")
	ErrClosed  = errors.New("cannot start the traffic: the driver is closed")
)

// errStopped breaks off requests that Stop has waited for.
var errStopped = errors.New("the driver was stopped and has waited")

// Reach says whether the target takes a connection. A Service leads to its pods only a moment after they are ready.
func (d *Driver) Reach(ctx context.Context) error {
	c, err := (&net.Dialer{Timeout: time.Second}).DialContext(ctx, "tcp", d.options.Target)
	if err != nil {
		return err
	}
	return c.Close()
}

// Start begins to send.
func (d *Driver) Start() error {
	d.control.Lock()
	defer d.control.Unlock()
	switch {
	case d.closed:
		return ErrClosed
	case d.pause != nil:
		return ErrRunning
	}
	var pacing, sending context.Context
	pacing, d.pause = context.WithCancel(context.Background())
	sending, d.breakOff = context.WithCancelCause(context.Background())
	for _, kind := range Kinds {
		if rate := d.options.Rates[kind]; rate > 0 {
			d.pacers.Go(func() { d.pace(pacing, sending, kind, rate) })
		}
	}
	d.setRunning(true)
	return nil
}

func (d *Driver) setRunning(running bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.running = running
}

// Stop sends nothing more and waits for the requests underway: until ctx ends, for Options.StopTimeout at most. Those that have not ended by
// then are broken off, and count as what they look like to a client that waits no longer. Without traffic, Stop does nothing.
func (d *Driver) Stop(ctx context.Context) {
	d.control.Lock()
	defer d.control.Unlock()
	d.stop(ctx)
}

func (d *Driver) stop(ctx context.Context) {
	if d.pause == nil {
		return
	}
	d.pause()
	d.pacers.Wait()
	d.setRunning(false)
	done := make(chan struct{})
	go func() { d.requests.Wait(); close(done) }()
	ctx, cancel := context.WithTimeout(ctx, d.options.StopTimeout)
	defer cancel()
	select {
	case <-done:
	case <-ctx.Done():
	}
	d.breakOff(errStopped)
	<-done
	d.pause = nil
}

// Close breaks off what is underway and ends all connections.
func (d *Driver) Close() {
	d.control.Lock()
	defer d.control.Unlock()
	now, cancel := context.WithCancel(context.Background())
	cancel()
	d.stop(now)
	d.closed = true
	for _, c := range d.https {
		c.close()
	}
	for _, c := range d.grpcs {
		c.close()
	}
}

// Reset begins a new counting period and returns the report of the one that ends. Requests underway count in the new one.
func (d *Driver) Reset() *Report {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := d.report()
	d.period = newPeriod(d.period)
	return r
}

// Report says what was found since the last reset.
func (d *Driver) Report() *Report {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.report()
}

func (d *Driver) report() *Report {
	r := d.period.report()
	r.Running = d.running
	return r
}

// pace sends requests of a kind when they are due, until pacing ends. Where it is late, it catches up.
func (d *Driver) pace(pacing, sending context.Context, kind Kind, rate float64) {
	began := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for n := 0; ; n++ {
		due := began.Add(time.Duration(float64(n) / rate * float64(time.Second)))
		timer.Reset(time.Until(due))
		select {
		case <-timer.C:
		case <-pacing.Done():
			return
		}
		if pacing.Err() != nil {
			return
		}
		if e := d.begin(kind, due); e != nil {
			d.requests.Go(func() { d.send(sending, e) })
		}
	}
}

// begin makes the next request; nil if there are too many underway.
func (d *Driver) begin(kind Kind, due time.Time) *exchange {
	o := &d.options
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.underway == o.MaxInFlight {
		d.period.dropped(kind)
		return nil
	}
	d.underway++
	d.number++
	e := &exchange{kind: kind, number: d.number, id: fmt.Sprintf("%s-%d", d.name, d.number), start: time.Now(), arrived: d.arrived}
	e.tokens = o.MinTokens + int(scatter(uint64(d.number))%uint64(o.MaxTokens-o.MinTokens+1))
	if o.Users > 0 {
		e.user = "user-" + strconv.Itoa(d.turns[kind]%o.Users)
	}
	e.client = d.turns[kind] % o.Clients
	d.turns[kind]++
	d.period.sent(kind, e.start.Sub(due))
	return e
}

// scatter makes lengths vary in a way that is the same in every run (the finalizer of SplitMix64).
func scatter(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// errTimeout breaks off requests that take too long.
var errTimeout = errors.New("the driver's timeout is over")

// send sends a request, reads its answer and counts it.
func (d *Driver) send(ctx context.Context, e *exchange) {
	ctx, cancel := context.WithTimeoutCause(ctx, d.options.Timeout, errTimeout)
	if e.kind == Unary || e.kind == SSE {
		d.https[e.client].send(ctx, &d.options, e)
	} else {
		d.grpcs[e.client].send(ctx, &d.options, e)
	}
	cancel()
	e.end = time.Now()
	d.mu.Lock()
	d.underway--
	d.period.ended(e)
	d.mu.Unlock()
	if d.ended != nil {
		d.ended(e)
	}
}
