package loadgen

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/bench/report"
)

// fakeServer is a way to a server without a network, for tests with a fake clock.
type fakeServer func(*http.Request) (*http.Response, error)

// RoundTrip answers a request.
func (f fakeServer) RoundTrip(r *http.Request) (*http.Response, error) {
	io.Copy(io.Discard, r.Body)
	r.Body.Close()
	return f(r)
}

// fake are options for a fake server.
func fake(f fakeServer) Options {
	return Options{coarse: true, roundTripper: func() http.RoundTripper { return f }}
}

func streamOf(pieces ...any) *http.Response {
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: io.NopCloser(&pacedStream{pieces: pieces})}
}

// pacedStream reads texts, with the pauses between them that are among its pieces.
type pacedStream struct{ pieces []any }

// Read reads the next text.
func (p *pacedStream) Read(b []byte) (int, error) {
	for len(p.pieces) > 0 {
		piece := p.pieces[0]
		p.pieces = p.pieces[1:]
		switch x := piece.(type) {
		case time.Duration:
			time.Sleep(x)
		case string:
			return copy(b, x), nil
		}
	}
	return 0, io.EOF
}

func TestAStalledServerDelaysNoLaterRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const stall = time.Minute
		var number atomic.Int64
		var mu sync.Mutex
		var came []time.Duration
		start := time.Now()
		o := fake(func(*http.Request) (*http.Response, error) {
			mu.Lock()
			came = append(came, time.Since(start))
			mu.Unlock()
			if number.Add(1) <= 3 {
				time.Sleep(stall)
			}
			return streamOf(time.Millisecond, events(textEvent), events(usageEvent, doneEvent)), nil
		})
		m := mustRun(t, t.Context(), every(100*time.Millisecond, 50), o)
		for i, at := range came {
			if want := time.Duration(i) * 100 * time.Millisecond; at != want {
				t.Errorf("request %d came at %v, want %v", i, at, want)
			}
		}
		r := m.Result(report.Objectives{TTFT: 1})
		if r.Completed != 50 || r.ScheduleDelay.Max != 0 || r.TTFT.Max != (stall+time.Millisecond).Seconds() || r.TTFT.P50 != 0.001 {
			t.Errorf("completed %d, sent %+v late, TTFT %+v", r.Completed, r.ScheduleDelay, r.TTFT)
		}
		if r.GoodputShare != 47.0/50 {
			t.Errorf("goodput share %v", r.GoodputShare)
		}
	})
}

// TestLatencyCountsFromTheSchedule holds the generator up, not the server: what is late by it is late for users, too.
func TestLatencyCountsFromTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &run{options: fake(func(*http.Request) (*http.Response, error) {
			return streamOf(events(textEvent, usageEvent, doneEvent)), nil
		}), trace: every(time.Millisecond, 4)}
		r.options.fill()
		r.samples = make([]report.Sample, 4)
		r.url = mustURL(t, DefaultOptions.URL)
		w, err := newWorker(r, 0, 1)
		if err != nil {
			t.Fatal(err)
		}
		defer w.close()
		r.started = time.Now()
		time.Sleep(time.Second)
		w.send(t.Context())
		for i, s := range r.samples {
			late := time.Second - time.Duration(i)*time.Millisecond
			if s.Sent-s.At != late || s.First-s.At != late || s.End-s.At != late {
				t.Errorf("request %d was late by %v: %+v", i, late, s)
			}
		}
		if x := r.measurement([]*worker{w}).Result(report.Objectives{}); !x.GeneratorLimited || x.ScheduleDelay.P50 < 0.99 || x.TTFT.P50 < 0.99 {
			t.Errorf("%+v", x)
		}
	})
}

func TestTimesOfAStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := fake(func(*http.Request) (*http.Response, error) {
			return streamOf(20*time.Millisecond, events(roleEvent), 30*time.Millisecond, events(textEvent), 10*time.Millisecond, events(textEvent, textEvent),
				50*time.Millisecond, events(textEvent), time.Millisecond, events(usageEvent), time.Millisecond, events(doneEvent)), nil
		})
		m := mustRun(t, t.Context(), every(time.Second, 2), o)
		for _, s := range m.Samples {
			if s.First-s.At != 50*time.Millisecond || s.Last-s.At != 110*time.Millisecond || s.End-s.At != 112*time.Millisecond || s.MaxGap != 50*time.Millisecond || s.Pieces != 4 {
				t.Errorf("%+v", s)
			}
			if s.PromptTokens != 20 || s.CachedTokens != 16 || s.OutputTokens != 7 {
				t.Errorf("tokens %+v", s)
			}
		}
		// Seven tokens came in four pieces: six after the first in 60 ms.
		if r := m.Result(report.Objectives{}); r.TPOT.P50 != 0.01 || r.GapMax != 0.05 || r.OutputTokens != 14 {
			t.Errorf("%+v", r)
		}
	})
}

func TestArrivalsBeyondMaxInFlightAreDropped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := fake(func(*http.Request) (*http.Response, error) {
			time.Sleep(time.Second)
			return streamOf(events(textEvent, usageEvent, doneEvent)), nil
		})
		o.MaxInFlight = 3
		o.Workers = 2
		m := mustRun(t, t.Context(), every(400*time.Millisecond+time.Nanosecond, 10), o)
		if r := m.Result(report.Objectives{}); r.Dropped != 0 || r.Sent != 10 {
			t.Errorf("three in flight are within the limit: dropped %d", r.Dropped)
		}
		m = mustRun(t, t.Context(), every(100*time.Millisecond+time.Nanosecond, 10), o)
		r := m.Result(report.Objectives{})
		if r.Arrivals != 10 || r.Sent != 3 || r.Completed != 3 || r.Dropped != 7 || !r.GeneratorLimited || r.E2E.Max != 1 {
			t.Errorf("%+v", r)
		}
	})
}

func TestInterruptCutsTheRunShort(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var last Progress
		var calls int
		o := fake(func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(1500 * time.Millisecond):
				return streamOf(events(textEvent, usageEvent, doneEvent)), nil
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})
		o.Workers = 3
		o.Progress = func(p Progress) { last, calls = p, calls+1 }
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(4050*time.Millisecond, cancel)
		m := mustRun(t, ctx, every(100*time.Millisecond, 1000), o)
		r := m.Result(report.Objectives{E2E: 2})
		if !m.CutShort || m.Planned != 1000 || len(m.Samples) != 41 || m.Schedule != 4050*time.Millisecond {
			t.Errorf("cut short %v, %d samples of %d over %v", m.CutShort, len(m.Samples), m.Planned, m.Schedule)
		}
		if !r.CutShort || r.Completed != 26 || r.Cancelled != 15 || r.Failed != 0 || r.GoodputShare != 1 {
			t.Errorf("%+v", r)
		}
		if calls != 5 || last.Sent != 41 || last.Done != 41 || last.Errors != 15 || last.Planned != 1000 || last.Elapsed != 4050*time.Millisecond || last.TTFTP50 < 1.5 {
			t.Errorf("after %d calls progress is %+v", calls, last)
		}
	})
}

func TestTimeoutCountsFromTheSchedule(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := fake(func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		o.Timeout = 5 * time.Second
		m := mustRun(t, t.Context(), every(time.Second, 2), o)
		for _, s := range m.Samples {
			if s.Outcome != report.Timeout || s.End-s.At != 5*time.Second {
				t.Errorf("%+v", s)
			}
		}
	})
}

func TestWarmupIsInNoFigure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int64
		o := fake(func(*http.Request) (*http.Response, error) {
			pause := time.Millisecond
			if n.Add(1) <= 10 {
				pause = time.Minute
			}
			return streamOf(events(textEvent), pause, events(textEvent, usageEvent, doneEvent)), nil
		})
		o.Warmup = time.Second
		r := mustRun(t, t.Context(), every(100*time.Millisecond, 20), o).Result(report.Objectives{})
		if r.Arrivals != 10 || r.Completed != 10 || r.GapMax != 0.001 || r.E2E.Max != 0.001 {
			t.Errorf("%+v", r)
		}
	})
}

// TestBodiesAreWhole gives slow servers to many requests at once, whose buffers must not be used again before they were read.
func TestBodiesAreWhole(t *testing.T) {
	tr := every(0, 300)
	for i := range tr.Requests {
		tr.Requests[i].PromptTokens = 3 + i%50
	}
	o := Options{}
	o.fill()
	want := make(map[string]bool)
	for i := range tr.Requests {
		want[string(appendBody(nil, tr, i, &o))] = true
	}
	var mu sync.Mutex
	o.URL = serve(t, func(w http.ResponseWriter, r *http.Request) {
		var b bytes.Buffer
		_, err := b.ReadFrom(r.Body)
		mu.Lock()
		if err != nil || !want[b.String()] {
			t.Errorf("the server read %q, %v", &b, err)
		}
		delete(want, b.String())
		mu.Unlock()
		answerStream(w, events(textEvent, usageEvent, doneEvent))
	})
	m := mustRun(t, t.Context(), tr, o)
	if r := m.Result(report.Objectives{}); r.Completed != 300 || len(want) != 0 {
		t.Errorf("%d requests completed, %v; %d bodies never came", r.Completed, r.Errors, len(want))
	}
}
