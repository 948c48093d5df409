// Package loadgen sends a trace to a server that speaks OpenAI's API and measures what its users would see. It is open-loop: every request
// is sent at the time that the trace says, however slow answers to earlier ones are, and latencies count from that time. What the
// generator itself adds is measured, too, as the delay after the schedule.
package loadgen

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/bench/report"
	"github.com/penstock/penstock/bench/trace"
)

// API is the part of OpenAI's API that requests use.
type API string

// The APIs.
const (
	Chat        API = "chat"
	Completions API = "completions"
)

// path is where the API is, below the target's URL.
func (a API) path() string {
	if a == Completions {
		return "/v1/completions"
	}
	return "/v1/chat/completions"
}

// SessionHeader carries Request.Session.
const SessionHeader = "X-Session-Id"

// Options say where and how requests are sent. A zero field has its value from DefaultOptions, but for those whose zero is documented.
type Options struct {
	// URL is the target, such as http://127.0.0.1:8000; requests go to the API's path below it.
	URL string
	// API is what requests ask for.
	API API
	// Model is the model that requests name.
	Model string
	// Header has headers for every request; nil is none.
	Header http.Header
	// Whole asks for answers in one piece; they have no time to first token.
	Whole bool
	// Salt changes the text of every prompt, so that no cache knows it from a run with another salt.
	Salt uint64
	// Workers is how many goroutines send, each with connections of its own.
	Workers int
	// MaxInFlight bounds the requests in flight; an arrival beyond it is dropped and counted.
	MaxInFlight int
	// Timeout is how long after its scheduled time a request is given up.
	Timeout time.Duration
	// Warmup is how long arrivals count in no figure.
	Warmup time.Duration
	// Progress, if not nil, is called every ProgressEvery from a goroutine of the run, and a last time at its end.
	Progress      func(Progress)
	ProgressEvery time.Duration

	roundTripper func() http.RoundTripper // makes each worker's way to the target in tests
	coarse       bool                     // wait by the runtime's timers, which a test's fake clock moves
	modelJSON    []byte
}

// DefaultOptions are the options of which nothing was said.
var DefaultOptions = Options{
	URL:           "http://127.0.0.1:8000",
	API:           Chat,
	Model:         "llama-3-8b",
	Workers:       1,
	MaxInFlight:   4096,
	Timeout:       10 * time.Minute,
	ProgressEvery: time.Second,
}

func (o *Options) fill() {
	d := &DefaultOptions
	if o.URL == "" {
		o.URL = d.URL
	}
	if o.API == "" {
		o.API = d.API
	}
	if o.Model == "" {
		o.Model = d.Model
	}
	if o.Workers == 0 {
		o.Workers = d.Workers
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = d.MaxInFlight
	}
	if o.Timeout == 0 {
		o.Timeout = d.Timeout
	}
	if o.ProgressEvery == 0 {
		o.ProgressEvery = d.ProgressEvery
	}
	quoted, err := json.Marshal(o.Model)
	if err != nil {
		panic("BUG: a string cannot be encoded: " + err.Error())
	}
	o.modelJSON = quoted
}

// Limits of options and traces.
const (
	MaxWorkers  = 256
	MaxRequests = 10_000_000
)

// Validate says what is wrong with the options.
func (o Options) Validate() error {
	o.fill()
	switch {
	case o.API != Chat && o.API != Completions:
		return fmt.Errorf("cannot use the API %q: it must be %s or %s", o.API, Chat, Completions)
	case o.Workers < 1 || o.Workers > MaxWorkers:
		return fmt.Errorf("cannot send with %d workers: it must be 1 to %d", o.Workers, MaxWorkers)
	case o.MaxInFlight < 1:
		return fmt.Errorf("cannot have %d requests in flight: it must be at least 1", o.MaxInFlight)
	case o.Timeout < 0:
		return fmt.Errorf("cannot wait %v for an answer: it must be more than 0", o.Timeout)
	case o.Warmup < 0:
		return fmt.Errorf("cannot warm up for %v: it must be 0 or more", o.Warmup)
	}
	return CheckURL(o.URL)
}

// CheckURL says what is wrong with a target's URL.
func CheckURL(target string) error {
	u, err := url.Parse(target)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return fmt.Errorf("cannot send to %q: a target is a URL such as http://127.0.0.1:8000", target)
	case strings.HasSuffix(strings.TrimRight(u.Path, "/"), "/v1"):
		return fmt.Errorf("cannot send to %q: leave /v1 out, which is added", target)
	case u.RawQuery != "" || u.Fragment != "":
		return fmt.Errorf("cannot send to %q: a target has no query and no fragment", target)
	}
	return nil
}

// Progress is how far a run is.
type Progress struct {
	// Elapsed is the time since the run began.
	Elapsed time.Duration
	// Planned is how many arrivals there are; Sent, Done, Errors and Dropped count what happened to them so far. Done has errors in it.
	Planned, Sent, Done, Errors, Dropped int64
	// TTFTP50 and TTFTP99 are of all requests so far, in seconds.
	TTFTP50, TTFTP99 float64
}

// run is a run underway.
type run struct {
	options   Options
	trace     *trace.Trace
	url       *url.URL
	started   time.Time
	samples   []report.Sample
	gaps      report.Histogram
	ttft      report.Histogram
	inFlight  atomic.Int64
	sent      atomic.Int64
	done      atomic.Int64
	errors    atomic.Int64
	dropped   atomic.Int64
	endpoints endpointNames
}

// Run sends the trace and returns when every request has ended. When ctx ends it sends no more, gives up what is in flight and returns what
// was measured until then. The error is for options or a trace that cannot be used; a target that answers nothing is none.
func Run(ctx context.Context, t *trace.Trace, o Options) (*report.Measurement, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	o.fill()
	switch n := len(t.Requests); {
	case n == 0:
		return nil, errors.New("cannot send a trace without requests")
	case n > MaxRequests:
		return nil, fmt.Errorf("cannot send %d requests in a run: at most %d fit", n, MaxRequests)
	}
	u, err := url.Parse(strings.TrimRight(o.URL, "/") + o.API.path())
	if err != nil {
		return nil, err
	}
	r := &run{options: o, trace: t, url: u, samples: make([]report.Sample, len(t.Requests))}
	workers := make([]*worker, min(o.Workers, len(t.Requests)))
	for i := range workers {
		if workers[i], err = newWorker(r, i, len(workers)); err != nil {
			for _, w := range workers[:i] {
				w.close()
			}
			return nil, err
		}
	}
	r.started = time.Now()
	stopProgress := r.watch()
	var sending sync.WaitGroup
	for _, w := range workers {
		sending.Go(func() {
			defer w.close()
			w.send(ctx)
		})
	}
	sending.Wait()
	stopProgress()
	return r.measurement(workers), nil
}

// since is the time of the run.
func (r *run) since() time.Duration { return time.Since(r.started) }

// watch calls Options.Progress until the function that it returns is called.
func (r *run) watch() (stop func()) {
	if r.options.Progress == nil {
		return func() {}
	}
	quit := make(chan struct{})
	var watching sync.WaitGroup
	watching.Go(func() {
		ticker := time.NewTicker(r.options.ProgressEvery)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				r.options.Progress(r.progress())
			case <-quit:
				r.options.Progress(r.progress())
				return
			}
		}
	})
	return func() {
		close(quit)
		watching.Wait()
	}
}

func (r *run) progress() Progress {
	done := r.done.Load() // before sent, or more would seem done than was sent
	return Progress{
		Elapsed: r.since(), Planned: int64(len(r.samples)), Sent: r.sent.Load(), Done: done, Errors: r.errors.Load(), Dropped: r.dropped.Load(),
		TTFTP50: r.ttft.Quantile(0.5), TTFTP99: r.ttft.Quantile(0.99),
	}
}

// measurement gathers what the workers recorded, in order of schedule. Arrivals whose time did not come are left out.
func (r *run) measurement(workers []*worker) *report.Measurement {
	m := &report.Measurement{Gaps: &r.gaps, Warmup: r.options.Warmup, Schedule: r.trace.Duration(), Planned: len(r.samples), Endpoints: r.endpoints.names}
	cut := time.Duration(-1)
	for _, w := range workers {
		if w.cut >= 0 {
			cut = max(cut, w.cut)
		}
	}
	if cut >= 0 {
		m.CutShort, m.Schedule = true, min(m.Schedule, cut)
	}
	m.Samples = r.samples[:0]
	for i := range r.samples {
		if i < workers[i%len(workers)].next {
			m.Samples = append(m.Samples, r.samples[i])
		}
	}
	return m
}

// endpointNames numbers the endpoints that answers name.
type endpointNames struct {
	mu    sync.RWMutex
	index map[string]int32
	names []string
}

const maxEndpoints = 4096

// number is the endpoint's number; -1 for no name, and for new ones when there are too many.
func (e *endpointNames) number(name string) int32 {
	if name == "" {
		return -1
	}
	e.mu.RLock()
	n, ok := e.index[name]
	e.mu.RUnlock()
	if ok {
		return n
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if n, ok := e.index[name]; ok {
		return n
	}
	if len(e.names) == maxEndpoints {
		return -1
	}
	if e.index == nil {
		e.index = make(map[string]int32)
	}
	n = int32(len(e.names))
	e.index[name] = n
	e.names = append(e.names, name)
	return n
}
