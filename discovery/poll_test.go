package discovery

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/config"
)

// longEnough bounds how long a test waits for something that should happen at once.
const longEnough = 20 * time.Second

// heard is a sink that keeps what it is told, each call as a line.
type heard struct {
	t     testing.TB
	lines chan string
}

func newHeard(t testing.TB) *heard { return &heard{t, make(chan string, 100)} }

func (s *heard) Apply(set Set) {
	urls := []string{}
	for i, e := range set.Endpoints {
		if set.Condition(i) != Ready || e.ID != "" {
			s.t.Errorf("an endpoint without a condition or an id was applied as %+v", e)
		}
		urls = append(urls, e.String())
	}
	s.lines <- fmt.Sprintf("%s has %v", set.Pool, urls)
}

func (s *heard) Watching(pool string, err error) { s.lines <- fmt.Sprintf("%s: %v", pool, err) }

// next returns what the sink is told next.
func (s *heard) next() string {
	s.t.Helper()
	select {
	case line := <-s.lines:
		return line
	case <-time.After(longEnough):
		s.t.Fatal("the sink is told nothing")
	}
	panic("not reached")
}

// want checks what the sink is told next, all of it in order.
func (s *heard) want(lines ...string) {
	s.t.Helper()
	for _, want := range lines {
		if got := s.next(); got != want {
			s.t.Errorf("the sink was told\n%s\nwant\n%s", got, want)
		}
	}
}

// wantOnly checks what the sink was told since the last time. It is called within a bubble of testing/synctest.
func (s *heard) wantOnly(lines ...string) {
	s.t.Helper()
	synctest.Wait()
	got := []string{}
	for len(s.lines) > 0 {
		got = append(got, <-s.lines)
	}
	if !slices.Equal(got, lines) {
		s.t.Errorf("%v: the sink was told\n%s\nwant\n%s", time.Now().UTC().Format(time.TimeOnly), strings.Join(got, "\n"), strings.Join(lines, "\n"))
	}
}

// runSource runs a source until the test ends.
func runSource(t testing.TB, source Source, sink Sink) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- source.Run(ctx, sink) }()
	stop = func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("the source ended with %v", err)
		}
		ended <- nil
	}
	t.Cleanup(stop)
	return stop
}

func endpointsAt(t testing.TB, urls ...string) (all []Endpoint) {
	t.Helper()
	for _, u := range urls {
		e, err := config.ParseEndpoint(u)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, Endpoint{Endpoint: e})
	}
	return all
}

func TestPollTellsWhatIsNew(t *testing.T) {
	a, b := "http://10.0.0.1:1", "http://10.0.0.2:1"
	var many []string
	for i := range maxEndpoints + 1 {
		many = append(many, fmt.Sprintf("http://h%d:1", i))
	}
	sink := newHeard(t)
	tl := newTeller("p", sink)
	for _, step := range []struct {
		what string
		urls []string
		err  error
		want []string
	}{
		{"a failure before the first set", nil, errors.New("off"), []string{"p: off"}},
		{"the same failure", nil, errors.New("off"), nil},
		{"the first set", []string{b, a, b}, nil, []string{"p has [" + a + " " + b + "]", "p: <nil>"}},
		{"the same set in another order", []string{a, b, a}, nil, nil},
		{"a failure", nil, errors.New("down"), []string{"p: down"}},
		{"another failure", nil, errors.New("broken"), []string{"p: broken"}},
		{"the same set again", []string{a, b}, nil, []string{"p: <nil>"}},
		{"another set", []string{b}, nil, []string{"p has [" + b + "]"}},
		{"too many", many, nil, []string{"p: cannot use the 10001 endpoints that were found for pool p: there are too many; want at most 10000 in a pool"}},
		{"an empty set", []string{}, nil, []string{"p has []", "p: <nil>"}},
		{"still empty", []string{}, nil, nil},
	} {
		tl.tell(tidy("p", endpointsAt(t, step.urls...), step.err))
		var got []string
		for len(sink.lines) > 0 {
			got = append(got, <-sink.lines)
		}
		if !slices.Equal(got, step.want) {
			t.Errorf("%s: the sink was told %q, want %q", step.what, got, step.want)
		}
	}
}

func TestFirstSetMayBeEmpty(t *testing.T) {
	sink := newHeard(t)
	newTeller("p", sink).tell(tidy("p", nil, nil))
	sink.want("p has []", "p: <nil>")
}

// TestPollInterval checks when a pool is looked at: at once, every second until there is a first set, then as set, from the end of one look on.
func TestPollInterval(t *testing.T) {
	for _, c := range []struct {
		interval time.Duration
		want     []time.Duration // looks, of which the third is the first to succeed
	}{
		{10 * time.Second, []time.Duration{0, 3 * time.Second, 6 * time.Second, 18 * time.Second, 30 * time.Second}},
		{500 * time.Millisecond, []time.Duration{0, 2500 * time.Millisecond, 5 * time.Second, 7500 * time.Millisecond, 10 * time.Second}},
	} {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			begin, looks := time.Now(), []time.Duration{}
			poll(ctx, "p", c.interval, func(context.Context) ([]Endpoint, error) {
				looks = append(looks, time.Since(begin))
				time.Sleep(2 * time.Second) // how long a look takes
				if len(looks) == 5 {
					cancel()
				}
				if len(looks) < 3 {
					return nil, errors.New("nothing yet")
				}
				return endpointsAt(t, fmt.Sprintf("http://a:%d", len(looks))), nil
			}, newHeard(t))
			if !slices.Equal(looks, c.want) {
				t.Errorf("every %v: looked after %v, want %v", c.interval, looks, c.want)
			}
		})
	}
}

// TestPollEnds checks that nothing is told once a source was stopped, in the middle of a look or between two.
func TestPollEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		sink := newHeard(t)
		go poll(ctx, "p", time.Second, func(ctx context.Context) ([]Endpoint, error) { <-ctx.Done(); return nil, ctx.Err() }, sink)
		synctest.Wait()
		cancel()
		sink.wantOnly()
		ctx, cancel = context.WithCancel(t.Context())
		go poll(ctx, "p", time.Second, func(context.Context) ([]Endpoint, error) { return nil, nil }, sink)
		sink.wantOnly("p has []", "p: <nil>")
		cancel()
		time.Sleep(time.Minute)
		sink.wantOnly()
	})
}
