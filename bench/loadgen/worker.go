package loadgen

import (
	"context"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/penstock/penstock/bench/report"
)

// worker sends every so-manieth request of the trace.
type worker struct {
	run       *run
	first     int // index of its first request
	step      int // to its next one
	next      int // index of the first request that it did not come to
	wait      alarm
	transport http.RoundTripper
	cut       time.Duration // when the run was cut short, since its beginning; negative if it was not
	underway  sync.WaitGroup
}

const (
	// idleTimeout is shorter than the 5 s after which vLLM closes idle connections, so that no request meets a connection as it is closed.
	idleTimeout = 4 * time.Second
	dialTimeout = 10 * time.Second
)

func newWorker(r *run, first, step int) (*worker, error) {
	w := &worker{run: r, first: first, step: step, next: first, cut: -1}
	if r.options.roundTripper != nil {
		w.transport = r.options.roundTripper()
	} else {
		dialer := net.Dialer{Timeout: dialTimeout}
		w.transport = &http.Transport{
			DialContext:         dialer.DialContext, // and no proxy: traffic goes only where it was told to
			MaxIdleConnsPerHost: r.options.MaxInFlight,
			IdleConnTimeout:     idleTimeout,
			DisableCompression:  true,
			WriteBufferSize:     16 << 10, // a request of usual size leaves in one write
			ReadBufferSize:      4 << 10,
		}
	}
	var err error
	if r.options.coarse {
		w.wait = newTimerAlarm()
	} else {
		w.wait, err = newAlarm()
	}
	return w, err
}

func (w *worker) close() {
	w.wait.close()
	if t, ok := w.transport.(*http.Transport); ok {
		t.CloseIdleConnections()
	}
}

// send sends the worker's requests at their times, and returns when all of them have ended.
func (w *worker) send(ctx context.Context) {
	defer w.underway.Wait()
	r := w.run
	defer context.AfterFunc(ctx, w.wait.interrupt)()
	for i := w.first; i < len(r.samples); i += w.step {
		at := r.trace.Requests[i].At
		for ctx.Err() == nil {
			early := at - r.since()
			if early <= 0 {
				break
			}
			w.wait.sleep(early)
		}
		if ctx.Err() != nil {
			w.cut = r.since()
			return
		}
		w.next = i + w.step
		s := &r.samples[i]
		*s = report.Sample{At: at, PromptTokens: -1, CachedTokens: -1, OutputTokens: -1, Endpoint: -1}
		if r.inFlight.Add(1) > int64(r.options.MaxInFlight) {
			r.inFlight.Add(-1)
			r.dropped.Add(1)
			s.Outcome = report.Dropped
			continue
		}
		w.underway.Go(func() { w.ask(ctx, i, s) })
	}
}

// ask sends request i and reads the answer.
func (w *worker) ask(ctx context.Context, i int, s *report.Sample) {
	r := w.run
	ctx, cancel := context.WithDeadline(ctx, r.started.Add(s.At+r.options.Timeout))
	defer cancel()
	request, body := w.request(ctx, i)
	r.sent.Add(1)
	s.Sent = r.since()
	a := answer{run: r, sample: s, measured: s.At >= r.options.Warmup}
	s.Outcome = a.receive(ctx, w.transport, request)
	s.End = r.since()
	body.release()
	if s.Outcome != report.OK {
		r.errors.Add(1)
	}
	r.done.Add(1)
	r.inFlight.Add(-1)
}

// request makes request i.
func (w *worker) request(ctx context.Context, i int) (*http.Request, *body) {
	o := &w.run.options
	body := newBody(func(b []byte) []byte { return appendBody(b, w.run.trace, i, o) })
	request := &http.Request{
		Method: http.MethodPost, URL: w.run.url, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: w.run.url.Host,
		Header: make(http.Header, 4+len(o.Header)), Body: body, ContentLength: int64(len(body.rest)),
	}
	request.Header["Content-Type"] = contentType
	request.Header["User-Agent"] = userAgent
	for name, values := range o.Header {
		request.Header[name] = values
	}
	if host := o.Header.Get("Host"); host != "" {
		request.Host = host
	}
	if session := w.run.trace.Requests[i].Session; session != 0 {
		request.Header[SessionHeader] = []string{sessionName(session)}
	}
	return request.WithContext(ctx), body
}

var (
	contentType = []string{"application/json"}
	userAgent   = []string{"penstock-bench"}
)
