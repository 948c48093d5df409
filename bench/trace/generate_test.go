package trace

import (
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"time"
)

// within fails unless got is at most share (of want) from want.
func within(t *testing.T, what string, got, want, share float64) {
	t.Helper()
	if math.Abs(got-want) > share*want {
		t.Errorf("%s is %v, want %v within %v %%", what, got, want, 100*share)
	}
}

func TestLengthsHaveTheirMean(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, l := range []Lengths{{Mean: 2000, Spread: 1}, {Mean: 250, Spread: .7}, {Mean: 7}} {
		const n = 200_000
		var sum, logs, squares float64
		for range n {
			x := float64(l.draw(random))
			sum += x
			logs += math.Log(x)
			squares += math.Log(x) * math.Log(x)
		}
		within(t, "mean", sum/n, float64(l.Mean), .01)
		if sigma := math.Sqrt(max(0, squares/n-logs/n*logs/n)); math.Abs(sigma-l.Spread) > .01 {
			t.Errorf("the spread is %v, want %v", sigma, l.Spread)
		}
	}
}

func TestLengthsStayWithinBounds(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	limited, wild := Lengths{Mean: 10, Spread: 2, Max: 20}, Lengths{Mean: maxMean, Spread: maxSpread}
	for range 100_000 {
		if n := limited.draw(random); n < 1 || n > 20 {
			t.Fatalf("drew %d tokens", n)
		}
		if n := wild.draw(random); n < 1 || n > maxNumber {
			t.Fatalf("drew %d tokens", n)
		}
	}
}

func TestIndependent(t *testing.T) {
	o := IndependentOptions{Rate: 20, Requests: 40_000, Seed: 7, PromptTokens: Lengths{Mean: 100}, OutputTokens: Lengths{Mean: 50, Spread: .5}}
	tr, err := Independent(o)
	if err != nil {
		t.Fatal(err)
	}
	mustValidate(t, tr)
	s := tr.Summary()
	within(t, "rate", s.Rate, 20, .02)
	within(t, "answer", s.Output.Mean, 50, .01)
	if s.Prompt.P50 != 100 || s.Prompt.P99 != 100 || s.HitRate != 0 || s.Requests != o.Requests {
		t.Errorf("summary %v", s)
	}
	// Gaps of a Poisson process have the standard deviation of their mean.
	var squares float64
	for i, r := range tr.Requests[1:] {
		gap := (r.At - tr.Requests[i].At).Seconds()
		squares += gap * gap
	}
	within(t, "mean square of gaps", squares/float64(o.Requests), 2./20/20, .05)
}

func TestIndependentAtFixedIntervals(t *testing.T) {
	tr, err := Independent(IndependentOptions{Rate: 4, Requests: 5, Fixed: true, PromptTokens: Lengths{Mean: 1}, OutputTokens: Lengths{Mean: 1}})
	if err != nil {
		t.Fatal(err)
	}
	for i, r := range tr.Requests {
		if r.At != time.Duration(i)*250*time.Millisecond {
			t.Errorf("request %d comes at %v", i, r.At)
		}
	}
}

func TestPresets(t *testing.T) {
	for _, preset := range []struct {
		name           string
		generate       func(rate float64, requests int, seed uint64) *Trace
		prompt, output float64
		spread         float64 // of the mean prompt: popular documents differ much between seeds
		hitLow, hitTop float64
	}{
		{"prefix-heavy", PrefixHeavy, 7400, 220, .4, .9, .99},
		{"no-reuse", NoReuse, 2000, 250, .05, 0, 0},
	} {
		t.Run(preset.name, func(t *testing.T) {
			tr := preset.generate(10, 20_000, 3)
			mustValidate(t, tr)
			s := tr.Summary()
			within(t, "rate", s.Rate, 10, .06)
			within(t, "prompt", s.Prompt.Mean, preset.prompt, preset.spread)
			within(t, "answer", s.Output.Mean, preset.output, .03)
			if s.HitRate < preset.hitLow || s.HitRate > preset.hitTop {
				t.Errorf("ideal hit rate %v", s.HitRate)
			}
			if s.Name != preset.name || s.Requests != 20_000 {
				t.Errorf("summary %v", s)
			}
			if !reflect.DeepEqual(tr, preset.generate(10, 20_000, 3)) {
				t.Error("the same seed gives another trace")
			}
			if reflect.DeepEqual(tr.Requests[:10], preset.generate(10, 10, 4).Requests) {
				t.Error("another seed gives the same trace")
			}
		})
	}
}

func TestPresetsPanicOnBadRates(t *testing.T) {
	defer func() {
		if got, want := recover(), "BUG: cannot use Rate = 0: it must be a positive number of requests a second"; got != want {
			t.Errorf("panic %v, want %v", got, want)
		}
	}()
	PrefixHeavy(0, 1, 1)
}

func TestIndependentOptionErrors(t *testing.T) {
	for _, c := range []struct {
		change func(o *IndependentOptions)
		want   string
	}{
		{func(o *IndependentOptions) { o.Rate = math.NaN() }, "cannot use Rate = NaN: it must be a positive number of requests a second"},
		{func(o *IndependentOptions) { o.Rate = math.Inf(1) }, "cannot use Rate = +Inf: it must be a positive number of requests a second"},
		{func(o *IndependentOptions) { o.Rate = 1e-9 },
			"cannot use Rate = 1e-09 with Requests = 1: the trace must not be longer than 100000000 s"},
		{func(o *IndependentOptions) { o.Requests = 0 }, "cannot use Requests = 0: it must be between 1 and 10000000"},
		{func(o *IndependentOptions) { o.Requests = 10_000_001 }, "cannot use Requests = 10000001: it must be between 1 and 10000000"},
		{func(o *IndependentOptions) { o.PromptTokens.Mean = 0 }, "cannot use PromptTokens.Mean = 0: it must be between 1 and 1000000 tokens"},
		{func(o *IndependentOptions) { o.OutputTokens.Spread = -1 }, "cannot use OutputTokens.Spread = -1: it must be between 0 and 3"},
		{func(o *IndependentOptions) { o.OutputTokens.Spread = math.NaN() }, "cannot use OutputTokens.Spread = NaN: it must be between 0 and 3"},
		{func(o *IndependentOptions) { o.PromptTokens.Max = 9 },
			"cannot use PromptTokens.Max = 9: it must be 0 for no limit, or between the mean of 10 and 999999999 tokens"},
	} {
		o := IndependentOptions{Rate: 1, Requests: 1, PromptTokens: Lengths{Mean: 10}, OutputTokens: Lengths{Mean: 10}}
		c.change(&o)
		if _, err := Independent(o); err == nil || err.Error() != c.want {
			t.Errorf("error is\n%v\nwant\n%s", err, c.want)
		}
	}
}
