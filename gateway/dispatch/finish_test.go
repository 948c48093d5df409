package dispatch

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/gateway/openai"
)

// What a policy learns of a response's tokens. An error's come fast and say nothing, even if its client left before its end.
func TestPolicyIsToldOfTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(1, ""))
		r := f.record()
		told := openai.Usage{PromptTokens: 700, CachedTokens: 512, CompletionTokens: 90, Known: true}
		for _, c := range []struct {
			name          string
			outcome       Outcome
			status        int
			usage         openai.Usage
			hasFirstToken bool
			want          balancer.Done
		}{
			{"all", Completed, 200, told, true, balancer.Done{Told: true, PromptTokens: 700, CachedTokens: 512, OutputTokens: 90}},
			{"no usage", Completed, 200, openai.Usage{}, true, balancer.Done{}},
			{"no prompt", Completed, 200, openai.Usage{CompletionTokens: 90, Known: true}, true, balancer.Done{OutputTokens: 90}},
			{"more cached than there is", Completed, 200, openai.Usage{PromptTokens: 5, CachedTokens: 9, Known: true}, true,
				balancer.Done{Told: true, PromptTokens: 5, CachedTokens: 5}},
			{"client's error", Completed, 400, openai.Usage{}, false, balancer.Done{}},
			{"back-pressure", Completed, 429, openai.Usage{}, false, balancer.Done{Busy: true}},
			{"error", Completed, 500, openai.Usage{}, false, balancer.Done{}},
			{"error whose client left", ClientGone, 500, openai.Usage{}, false, balancer.Done{}},
			{"client left", ClientGone, 200, openai.Usage{}, true, balancer.Done{}},
			{"broke off", UpstreamBroken, 200, openai.Usage{}, true, balancer.Done{}},
		} {
			x := f.admit()
			start := Now()
			time.Sleep(20 * time.Millisecond)
			x.FirstByte()
			time.Sleep(30 * time.Millisecond)
			x.Answered(Now())
			time.Sleep(time.Millisecond)
			x.Answered(Now()) // further pieces change nothing
			x.Status, x.Usage, x.Streamed = c.status, c.usage, true
			x.Finish(c.outcome)
			got := r.done[len(r.done)-1]
			if want := start + int64(50*time.Millisecond); c.hasFirstToken && got.FirstToken != want || !c.hasFirstToken && got.FirstToken != 0 {
				t.Errorf("%s: the first token came at %d after %d; want %d, or none: %v", c.name, got.FirstToken, start, want, !c.hasFirstToken)
			}
			if (got.FirstByte != 0) != c.hasFirstToken {
				t.Errorf("%s: the first byte came at %d", c.name, got.FirstByte)
			}
			c.want.Now, c.want.Started, c.want.FirstByte, c.want.FirstToken = got.Now, got.Started, got.FirstByte, got.FirstToken
			c.want.Failed, c.want.Streamed = c.outcome.IsFault(), true
			if got != c.want {
				t.Errorf("%s: the policy is told %+v, want %+v", c.name, got, c.want)
			}
		}
	})
}

// The first token of an attempt is not that of another one.
func TestFirstTokenOfARetry(t *testing.T) {
	f := newFixture(t, onePool(2, ""))
	r := f.record()
	x := f.admit()
	x.Answered(5)
	if reply := x.Retry(StaleConnection, true); reply != nil {
		t.Fatal(reply.Message)
	}
	complete(x, 200)
	if len(r.done) != 2 || r.done[0].FirstToken != 5 || r.done[1].FirstToken != 0 {
		t.Errorf("the policy is told %+v", r.done)
	}
}

// Reports are the endpoint's that the exchange holds; without one, or without somebody who wants them, they go nowhere.
func TestLoadReportsAreOfTheEndpoint(t *testing.T) {
	var got []string
	f := newFixture(t, onePool(1, ""), func(o *Options) {
		o.Report = func(e *balancer.Endpoint, value []byte, binary bool, now int64) {
			if now <= 0 {
				t.Errorf("a report came at %d", now)
			}
			got = append(got, fmt.Sprintf("%s %s %v", e.Name, value, binary))
		}
	})
	x := f.admit()
	x.LoadReport([]byte("TEXT a=1"), false)
	x.LoadReport([]byte("AAEC"), true)
	complete(x, 200)
	x.LoadReport([]byte("late"), false)
	if want := []string{"10.0.0.1:8000 TEXT a=1 false", "10.0.0.1:8000 AAEC true"}; !slices.Equal(got, want) {
		t.Errorf("the reports %q were handed on, want %q", got, want)
	}
	f = newFixture(t, onePool(1, ""))
	x = f.admit()
	x.LoadReport([]byte("TEXT a=1"), false)
	complete(x, 200)
}
