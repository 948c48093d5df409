package health

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// fleet answers probes in a bubble, without a network.
type fleet struct {
	mu       sync.Mutex
	statuses map[string]int           // by host; 0 is a connection failure, 200 unless set
	slow     map[string]time.Duration // how long a host takes
	times    map[string][]time.Time   // when each host was probed
	now, max atomic.Int64             // probes at once
}

func newFleet() *fleet {
	return &fleet{statuses: map[string]int{}, slow: map[string]time.Duration{}, times: map[string][]time.Time{}}
}

func (f *fleet) set(host string, status int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.statuses[host] = status
}

func (f *fleet) probes(host string) []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.times[host])
}

var errRefused = errors.New("connection refused")

func (f *fleet) RoundTrip(r *http.Request) (*http.Response, error) {
	if n := f.now.Add(1); n > f.max.Load() {
		f.max.Store(n)
	}
	defer f.now.Add(-1)
	f.mu.Lock()
	status, ok := f.statuses[r.URL.Host]
	if !ok {
		status = 200
	}
	slow := f.slow[r.URL.Host]
	f.times[r.URL.Host] = append(f.times[r.URL.Host], time.Now())
	f.mu.Unlock()
	if !sleep(r.Context(), slow) {
		return nil, r.Context().Err()
	}
	if status == 0 {
		return nil, errRefused
	}
	return &http.Response{
		StatusCode: status, Status: fmt.Sprintf("%d %s", status, http.StatusText(status)),
		Body: io.NopCloser(strings.NewReader("ok")), Request: r,
	}, nil
}

// reports records what a prober tells.
type reports struct {
	mu   sync.Mutex
	told []string
}

func (r *reports) report(target string, healthy bool, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	line := target + " healthy"
	if !healthy {
		line = target + ": " + err.Error()
	}
	r.told = append(r.told, line)
}

func (r *reports) want(t *testing.T, lines ...string) {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.told, lines) {
		t.Errorf("told %q, want %q", r.told, lines)
	}
	r.told = nil
}

var everySecond = ProbeConfig{Path: "/health", Interval: time.Second, Timeout: 500 * time.Millisecond}

// bubble runs a test with a prober of a fleet, in a bubble with a clock of its own.
func bubble(t *testing.T, c ProbeConfig, test func(t *testing.T, p *Prober, f *fleet, r *reports)) {
	synctest.Test(t, func(t *testing.T) {
		f, r := newFleet(), &reports{}
		p := NewProber(c, func(string) http.RoundTripper { return f }, r.report)
		defer p.Close()
		test(t, p, f, r)
	})
}

// after lets a time pass, and what happens in it.
func after(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func target(name string) Target { return Target{Name: name, URL: "http://" + name} }

func wantStatus(t *testing.T, p *Prober, name string, healthy bool, err string) {
	t.Helper()
	s, ok := p.Status(name)
	got := ""
	if s.Err != nil {
		got = s.Err.Error()
	}
	if !ok || s.Healthy != healthy || got != err {
		t.Errorf("status of %s: %v, healthy %v, error %q; want healthy %v, error %q", name, ok, s.Healthy, got, healthy, err)
	}
}

const (
	refused    = "cannot get http://a:1/health: connection refused"
	notAllowed = "http://a:1/health answered 503 Service Unavailable, want 200 to 299"
)

func TestFirstSuccessMakesHealthy(t *testing.T) {
	c := everySecond
	c.HealthyAfter, c.UnhealthyAfter = 3, 2
	bubble(t, c, func(t *testing.T, p *Prober, f *fleet, r *reports) {
		f.set("a:1", 0)
		f.slow["a:1"] = time.Millisecond // so that the first probe ends after the first look
		p.SetTargets([]Target{target("a:1")})
		if s, ok := p.Status("a:1"); !ok || s != (Status{}) {
			t.Errorf("status before the first probe: %+v, %v", s, ok)
		}
		after(10 * time.Second)
		r.want(t, "a:1: "+refused) // once, though it failed several times
		wantStatus(t, p, "a:1", false, refused)
		f.set("a:1", 204)
		after(1101 * time.Millisecond)
		r.want(t, "a:1 healthy")
		wantStatus(t, p, "a:1", true, "")
	})
}

func TestThresholds(t *testing.T) {
	c := everySecond
	c.HealthyAfter, c.UnhealthyAfter = 3, 2
	bubble(t, c, func(t *testing.T, p *Prober, f *fleet, r *reports) {
		p.SetTargets([]Target{target("a:1")})
		after(0)
		r.want(t, "a:1 healthy")
		probes := func(n int) { // lets so many probes happen
			for want := len(f.probes("a:1")) + n; len(f.probes("a:1")) < want; {
				after(10 * time.Millisecond)
			}
		}
		f.set("a:1", 503)
		probes(1)
		r.want(t)
		wantStatus(t, p, "a:1", true, notAllowed)
		f.set("a:1", 200)
		probes(1) // the failures are no longer in a row
		f.set("a:1", 503)
		probes(1)
		r.want(t)
		probes(1)
		r.want(t, "a:1: "+notAllowed)
		f.set("a:1", 200)
		probes(2)
		r.want(t)
		wantStatus(t, p, "a:1", false, "")
		f.set("a:1", 503)
		probes(1)
		f.set("a:1", 200)
		probes(2)
		r.want(t)
		probes(1)
		r.want(t, "a:1 healthy")
	})
}

func TestStatusesThatCount(t *testing.T) {
	for status, healthy := range map[int]bool{200: true, 204: true, 299: true, 301: false, 302: false, 401: false, 404: false, 429: false, 500: false, 503: false} {
		bubble(t, everySecond, func(t *testing.T, p *Prober, f *fleet, _ *reports) {
			f.set("a:1", status)
			p.SetTargets([]Target{target("a:1")})
			after(0)
			if s, _ := p.Status("a:1"); s.Healthy != healthy {
				t.Errorf("status %d: healthy %v, want %v", status, s.Healthy, healthy)
			}
		})
	}
}

func TestTimeout(t *testing.T) {
	bubble(t, everySecond, func(t *testing.T, p *Prober, f *fleet, r *reports) {
		f.slow["a:1"] = time.Minute
		p.SetTargets([]Target{target("a:1")})
		after(500*time.Millisecond - 1)
		r.want(t)
		after(1)
		r.want(t, "a:1: cannot get http://a:1/health within 500ms: context deadline exceeded")
		if s, _ := p.Status("a:1"); s.Took != 500*time.Millisecond || !s.Checked.Equal(time.Now()) {
			t.Errorf("the probe took %v and ended at %v", s.Took, s.Checked)
		}
	})
}

// Intervals vary by a tenth; the second probe comes anywhere within the first one.
func TestIntervals(t *testing.T) {
	bubble(t, everySecond, func(t *testing.T, p *Prober, f *fleet, _ *reports) {
		p.SetTargets([]Target{target("a:1")})
		after(100 * time.Second)
		times := f.probes("a:1")
		if len(times) < 90 || len(times) > 113 {
			t.Errorf("%d probes in 100 s, want about 100", len(times))
		}
		for i := range times[1:] {
			d := times[i+1].Sub(times[i])
			if d > 1100*time.Millisecond || i > 0 && d < 900*time.Millisecond {
				t.Errorf("probe %d came %v after the one before", i+1, d)
			}
		}
	})
}

// A thousand endpoints that appear at once are neither probed at once nor kept waiting, and stay spread.
func TestManyTargetsAreSpread(t *testing.T) {
	c := everySecond
	c.Interval, c.Timeout = 10*time.Second, time.Second
	bubble(t, c, func(t *testing.T, p *Prober, f *fleet, _ *reports) {
		var targets []Target
		for i := range 1000 {
			name := fmt.Sprintf("10.0.%d.%d:8000", i/256, i%256)
			f.slow[name] = 20 * time.Millisecond
			targets = append(targets, target(name))
		}
		p.SetTargets(targets)
		after(1100 * time.Millisecond)
		for _, target := range targets {
			if s, _ := p.Status(target.Name); !s.Healthy {
				t.Fatalf("%s was not probed within its first second", target.Name)
			}
		}
		if n := f.max.Load(); n > 30 {
			t.Errorf("%d first probes at once, want about 20", n)
		}
		f.max.Store(0)
		after(60 * time.Second)
		if n := f.max.Load(); n > 30 {
			t.Errorf("%d probes at once, want about 2", n)
		}
	})
}

func TestConcurrencyIsBounded(t *testing.T) {
	c := everySecond
	c.Timeout = 10 * time.Second
	bubble(t, c, func(t *testing.T, p *Prober, f *fleet, _ *reports) {
		var targets []Target
		for i := range 2 * maxConcurrent {
			name := fmt.Sprintf("hangs-%d:1", i)
			f.slow[name] = time.Hour
			targets = append(targets, target(name))
		}
		p.SetTargets(targets)
		after(25 * time.Second)
		if n := f.max.Load(); n != maxConcurrent {
			t.Errorf("%d probes at once, want %d", n, maxConcurrent)
		}
		for _, target := range targets {
			if s, _ := p.Status(target.Name); s.Err == nil {
				t.Fatalf("%s had no turn", target.Name)
			}
		}
	})
}

func TestSetTargets(t *testing.T) {
	bubble(t, everySecond, func(t *testing.T, p *Prober, f *fleet, r *reports) {
		a, b := target("a:1"), target("b:1")
		p.SetTargets([]Target{a, b})
		after(5 * time.Second)
		r.want(t, "a:1 healthy", "b:1 healthy")
		before := len(f.probes("b:1"))
		p.SetTargets([]Target{b}) // b goes on undisturbed
		after(0)
		if n := len(f.probes("b:1")); n != before {
			t.Error("a target that stayed was probed anew")
		}
		if _, ok := p.Status("a:1"); ok {
			t.Error("a target that has gone has a status")
		}
		gone := len(f.probes("a:1"))
		after(5 * time.Second)
		if n := len(f.probes("a:1")); n != gone {
			t.Errorf("a target that has gone was probed %d more times", n-gone)
		}
		moved := Target{Name: "b:1", URL: "http://elsewhere:2"}
		f.set("elsewhere:2", 500)
		p.SetTargets([]Target{moved, a})
		if got := p.Targets(); !slices.Equal(got, []string{"a:1", "b:1"}) {
			t.Errorf("targets: %q", got)
		}
		wantStatus(t, p, "b:1", false, "") // another URL starts anew
		after(100 * time.Millisecond)
		r.want(t, "b:1: http://elsewhere:2/health answered 500 Internal Server Error, want 200 to 299", "a:1 healthy")
	})
}

// A probe that is under way when its target goes is cut off, and says nothing.
func TestRemovalCutsTheProbeOff(t *testing.T) {
	c := everySecond
	c.Timeout = time.Hour
	bubble(t, c, func(t *testing.T, p *Prober, f *fleet, r *reports) {
		f.slow["a:1"] = time.Minute
		p.SetTargets([]Target{target("a:1")})
		after(time.Second)
		p.SetTargets(nil)
		after(0)
		if n := f.now.Load(); n != 0 {
			t.Errorf("%d probes go on", n)
		}
		after(time.Hour)
		r.want(t)
	})
}

// A report that takes its time holds back what is started under the same name, and nothing else.
func TestReportsOfATargetDoNotOverlap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFleet()
		var reporting, told atomic.Int64
		p := NewProber(everySecond, func(string) http.RoundTripper { return f }, func(target string, _ bool, _ error) {
			if target == "b:1" {
				return
			}
			if reporting.Add(1) > 1 {
				t.Error("two reports of one target at once")
			}
			time.Sleep(3 * time.Second)
			reporting.Add(-1)
			told.Add(1)
		})
		defer p.Close()
		p.SetTargets([]Target{target("a:1")})
		after(time.Second)
		p.SetTargets([]Target{target("b:1")})
		p.SetTargets([]Target{target("a:1"), target("b:1")})
		after(time.Second)
		if s, _ := p.Status("b:1"); !s.Healthy {
			t.Error("another target waited for the report")
		}
		after(10 * time.Second)
		if n := told.Load(); n != 2 {
			t.Errorf("%d reports, want 2", n)
		}
	})
}

func TestClose(t *testing.T) {
	bubble(t, everySecond, func(t *testing.T, p *Prober, f *fleet, r *reports) {
		f.slow["slow:1"] = 400 * time.Millisecond
		p.SetTargets([]Target{target("a:1"), target("slow:1")})
		after(100 * time.Millisecond)
		p.Close()
		if n := f.now.Load(); n != 0 {
			t.Errorf("%d probes go on after Close", n)
		}
		p.SetTargets([]Target{target("b:1")})
		after(time.Minute)
		r.want(t, "a:1 healthy")
		if len(f.probes("b:1")) != 0 || len(p.Targets()) != 0 {
			t.Error("a closed prober took targets")
		}
		p.Close() // once more does no harm
	})
}

func TestSleepEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if sleep(ctx, time.Hour) || sleep(ctx, 0) {
		t.Error("slept in a context that has ended")
	}
}

func TestProberNeedsTimes(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("a prober without an interval was made")
		}
	}()
	NewProber(ProbeConfig{Timeout: time.Second}, nil, nil)
}
