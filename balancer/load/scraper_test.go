package load

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

	"github.com/penstock/penstock/balancer"
)

// epoch is where the clock of tests begins.
var epoch = time.Now().Add(-time.Hour)

func clock() int64 { return int64(time.Since(epoch)) }

// outcome is a poll that a test sees, or a notice.
type outcome struct {
	endpoint *balancer.Endpoint
	err      error
}

// rig is a scraper whose polls and notices a test awaits.
type rig struct {
	*Scraper
	t       *testing.T
	polls   chan outcome
	notices chan outcome
}

func newRig(t *testing.T, c Config) *rig {
	t.Helper()
	if c.Now == nil {
		c.Now = clock
	}
	r := &rig{t: t, polls: make(chan outcome), notices: make(chan outcome, 16)}
	var err error
	if r.Scraper, err = NewScraper(c, func(e *balancer.Endpoint, err error) { r.notices <- outcome{e, err} }); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	r.polled = func(e *balancer.Endpoint, err error) {
		select {
		case r.polls <- outcome{e, err}:
		case <-ended:
		}
	}
	t.Cleanup(func() { close(ended); r.Close() })
	return r
}

// patience bounds how long a test waits for something that should happen at once.
const patience = time.Minute

// poll awaits a poll of an endpoint.
func (r *rig) poll(e *balancer.Endpoint) error {
	r.t.Helper()
	deadline := time.After(patience)
	for {
		select {
		case o := <-r.polls:
			if o.endpoint == e {
				return o.err
			}
		case <-deadline:
			r.t.Fatalf("%s is not polled", e.Name)
		}
	}
}

// noticed returns the notices since the last call, nil errors as "well".
func (r *rig) noticed() (all []string) {
	for {
		select {
		case o := <-r.notices:
			if o.err == nil {
				all = append(all, "well")
			} else {
				all = append(all, o.err.Error())
			}
		default:
			return all
		}
	}
}

// transport answers polls as a function says.
type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func page(text string) *http.Response {
	return &http.Response{StatusCode: http.StatusOK, Status: "200 OK", Body: io.NopCloser(strings.NewReader(text))}
}

// answered is a rig whose targets all answer as f says.
func answered(t *testing.T, c Config, f transport) *rig {
	t.Helper()
	r := newRig(t, c)
	r.newTransport = func(Target, *Config) http.RoundTripper { return f }
	return r
}

func target(name string) Target {
	return Target{Endpoint: balancer.NewEndpoint(name, nil), URL: "http://" + name + "/metrics"}
}

var eachSecond = Config{Engine: "tgi", Interval: time.Second, Timeout: 500 * time.Millisecond}

func TestPollsComeInIntervals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := answered(t, eachSecond, func(*http.Request) (*http.Response, error) { return page("tgi_queue_size 3\n"), nil })
		a := target("a:1")
		began := time.Now()
		r.SetTargets([]Target{a})
		var times []time.Duration
		for range 12 {
			if err := r.poll(a.Endpoint); err != nil {
				t.Fatal(err)
			}
			times = append(times, time.Since(began))
		}
		if times[0] != 0 || times[1] >= time.Second {
			t.Errorf("the first polls were after %v and %v, want at once, and within an interval", times[0], times[1])
		}
		differ := false
		for i := 2; i < len(times); i++ {
			pause := times[i] - times[i-1]
			if pause < 900*time.Millisecond || pause > 1100*time.Millisecond {
				t.Errorf("the pause before poll %d is %v, want a second give or take a tenth", i, pause)
			}
			differ = differ || pause != times[2]-times[1]
		}
		if !differ {
			t.Error("all pauses are the same: endpoints would stay in step")
		}
		if s := a.Endpoint.Signals(); s.Waiting.Value != 3 || s.Waiting.At != clock() {
			t.Errorf("got %+v at %d", s, clock())
		}
	})
}

func TestFailuresArePolledLessOften(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		down := errors.New("down")
		var fails atomic.Bool
		r := answered(t, eachSecond, func(*http.Request) (*http.Response, error) {
			if fails.Load() {
				return nil, down
			}
			return page("tgi_queue_size 3\ntgi_batch_current_size 1\n"), nil
		})
		a := target("a:1")
		r.SetTargets([]Target{a})
		r.poll(a.Endpoint)
		r.poll(a.Endpoint)
		readAt := a.Endpoint.Signals().Waiting.At
		fails.Store(true)
		for i, want := range []time.Duration{1, 1, 2, 4, 8, 16, 30, 30} {
			before := time.Now()
			if err := r.poll(a.Endpoint); !errors.Is(err, down) {
				t.Fatalf("poll %d: %v", i, err)
			}
			if pause := time.Since(before).Seconds(); pause < 0.9*float64(want) || pause > 1.1*float64(want) {
				t.Errorf("the pause before failure %d is %v s, want %d give or take a tenth", i+1, pause, want)
			}
		}
		s := a.Endpoint.Signals()
		if s.Waiting.Value != 3 || s.Waiting.At != readAt || s.Failure != "cannot get http://a:1/metrics: down" {
			t.Errorf("got %+v, want what was read before, as old as it is, and the failure", s)
		}
		if age := time.Duration(s.Waiting.Age(clock())); age < 80*time.Second {
			t.Errorf("the age is %v", age)
		}
		fails.Store(false)
		r.poll(a.Endpoint)
		before := time.Now()
		r.poll(a.Endpoint)
		if pause := time.Since(before); pause > 1100*time.Millisecond {
			t.Errorf("the pause after a recovery is %v", pause)
		}
		if s := a.Endpoint.Signals(); s.Failure != "" || s.Waiting.Age(clock()) != 0 {
			t.Errorf("after the recovery: %+v", s)
		}
		if got, want := r.noticed(), []string{"cannot get http://a:1/metrics: down", "well"}; !slices.Equal(got, want) {
			t.Errorf("noticed %q, want %q", got, want)
		}
	})
}

func TestLongIntervalsAreNotShortenedByFailures(t *testing.T) {
	s, err := NewScraper(Config{Engine: "vllm", Interval: time.Hour, Timeout: time.Second, Now: clock}, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, failures := range []int{0, 1, 2, 1000} {
		if d := s.pause(failures); d < 54*time.Minute || d > 66*time.Minute {
			t.Errorf("after %d failures the pause is %v", failures, d)
		}
	}
}

// However many endpoints hang, so many polls at most are underway, and the endpoints that answer get their turn.
func TestPollsAtOnceAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var underway, most atomic.Int64
		r := answered(t, eachSecond, func(request *http.Request) (*http.Response, error) {
			n := underway.Add(1)
			defer underway.Add(-1)
			for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
			}
			if request.URL.Host == "last:1" {
				return page("tgi_queue_size 1\n"), nil
			}
			<-request.Context().Done()
			return nil, request.Context().Err()
		})
		var all []Target
		for i := range 4 * maxConcurrent {
			all = append(all, target(fmt.Sprintf("e%d:1", i)))
		}
		last := target("last:1")
		r.SetTargets(append(all, last))
		if err := r.poll(last.Endpoint); err != nil {
			t.Error(err)
		}
		if n := most.Load(); n != maxConcurrent {
			t.Errorf("%d polls were underway at once, want %d", n, maxConcurrent)
		}
		synctest.Wait()
		if got := r.noticed(); len(got) == 0 || got[0] != "cannot get http://e0:1/metrics within 500ms: context deadline exceeded" {
			t.Errorf("noticed %q", got)
		}
	})
}

func TestTargetsAreReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		polled := make(map[string]int)
		count := func(url string) int {
			mu.Lock()
			defer mu.Unlock()
			return polled[url]
		}
		underway := make(map[string]bool)
		r := answered(t, eachSecond, func(request *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			if underway[request.URL.Host] {
				t.Errorf("%s is polled twice at the same time", request.URL.Host)
			}
			polled[request.URL.String()]++
			return page("tgi_queue_size 1\n"), nil
		})
		r.polled = nil
		a, b := target("a:1"), target("b:1")
		r.SetTargets([]Target{a, b})
		time.Sleep(10 * time.Second)
		if got := r.Targets(); !slices.Equal(got, []string{a.URL, b.URL}) {
			t.Errorf("the targets are %q", got)
		}
		moved := b
		moved.URL = "http://b:1/elsewhere"
		r.SetTargets([]Target{a, moved})
		synctest.Wait()
		before, other := count(b.URL), count(a.URL)
		time.Sleep(10 * time.Second)
		if n := count(b.URL); n != before {
			t.Errorf("the old URL was polled %d times after it had gone", n-before)
		}
		if n := count(moved.URL); n < 9 {
			t.Errorf("the new URL was polled %d times", n)
		}
		if n := count(a.URL) - other; n < 9 || n > 12 {
			t.Errorf("the target that stayed was polled %d times in 10 s", n)
		}
		r.SetTargets(nil)
		synctest.Wait()
		before = count(a.URL)
		time.Sleep(10 * time.Second)
		if n := count(a.URL); n != before || len(r.Targets()) != 0 {
			t.Errorf("polled %d times after all had gone", n-before)
		}
		r.mu.Lock()
		defer r.mu.Unlock()
		if len(r.ending) != 0 {
			t.Errorf("%d polls are remembered that have ended", len(r.ending))
		}
	})
}

// A poll that is underway when its target changes publishes nothing any more, and the next one begins after its end.
func TestReplacedPollsAreCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cut := make(chan struct{})
		r := newRig(t, eachSecond)
		r.newTransport = func(target Target, _ *Config) http.RoundTripper {
			return transport(func(request *http.Request) (*http.Response, error) {
				if strings.HasSuffix(target.URL, "/metrics") {
					<-request.Context().Done()
					<-cut // and then it answers nevertheless
					return page("tgi_queue_size 99\n"), nil
				}
				return page("tgi_queue_size 1\n"), nil
			})
		}
		a := target("a:1")
		r.SetTargets([]Target{a})
		synctest.Wait()
		moved := a
		moved.URL += "2"
		r.SetTargets([]Target{moved})
		time.Sleep(time.Minute)
		if s := a.Endpoint.Signals(); s != nil {
			t.Errorf("before the end of the old poll: %+v", s)
		}
		close(cut)
		if err := r.poll(a.Endpoint); err != nil || a.Endpoint.Signals().Waiting.Value != 1 {
			t.Errorf("got %+v, error %v", a.Endpoint.Signals(), err)
		}
		if got := r.noticed(); got != nil {
			t.Errorf("noticed %q", got)
		}
	})
}

func TestInFlightIsThatOfTheReading(t *testing.T) {
	b := balancer.New(mustPolicy(t))
	a := target("a:1")
	b.SetSnapshot(balancer.NewSnapshot([]*balancer.Endpoint{a.Endpoint}, balancer.Options{}))
	for range 3 {
		b.Acquire(&balancer.Request{})
	}
	r := answered(t, eachSecond, func(*http.Request) (*http.Response, error) { return page("tgi_queue_size 1\n"), nil })
	r.SetTargets([]Target{a})
	if err := r.poll(a.Endpoint); err != nil {
		t.Fatal(err)
	}
	if n := a.Endpoint.Signals().InFlight; n != 3 {
		t.Errorf("in flight: %d, want 3", n)
	}
}

func mustPolicy(t *testing.T) balancer.Policy {
	t.Helper()
	p, err := balancer.NewPolicy("round-robin", balancer.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestUnknownEngine(t *testing.T) {
	_, err := NewScraper(Config{Engine: "vlm", Interval: 1, Timeout: 1}, nil)
	const want = `cannot poll the metrics of engine "vlm": want one of dcgm, sglang, tensorrt-llm, tgi, triton, vllm`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestClosedScraperStaysClosed(t *testing.T) {
	r := answered(t, eachSecond, func(*http.Request) (*http.Response, error) { return nil, context.Canceled })
	r.Close()
	r.SetTargets([]Target{target("a:1")})
	if n := len(r.Targets()); n != 0 {
		t.Errorf("%d targets after Close", n)
	}
}
