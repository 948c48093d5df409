package twin_test

import (
	"math"
	"slices"
	"time"

	"github.com/penstock/penstock/bench/report"
	"github.com/penstock/penstock/bench/simulate"
	"github.com/penstock/penstock/bench/trace"
)

// answer is what became of a request, simulated or real.
type answer struct {
	complete               bool
	ttft, tpot             time.Duration // tpot is 0 of an answer with one token
	prompt, cached, output int
	replica                int
}

func simulated(t *trace.Trace, outcomes []simulate.Outcome) []answer {
	all := make([]answer, len(outcomes))
	for i := range outcomes {
		o, q := &outcomes[i], &t.Requests[i]
		all[i] = answer{
			complete: o.Ending == simulate.Completed, ttft: time.Duration(o.TTFT()), tpot: perToken(time.Duration(o.Ended-o.FirstToken), q.OutputTokens),
			prompt: q.PromptTokens, cached: int(o.CachedTokens), output: q.OutputTokens, replica: int(o.Replica),
		}
	}
	return all
}

// measured is of a real run; number numbers the replicas.
func measured(m *report.Measurement, number map[string]int) []answer {
	all := make([]answer, len(m.Samples))
	for i := range m.Samples {
		s := &m.Samples[i]
		all[i] = answer{
			complete: s.Outcome == report.OK, ttft: s.First - s.At, tpot: perToken(s.Last-s.First, int(s.OutputTokens)),
			prompt: int(s.PromptTokens), cached: int(s.CachedTokens), output: int(s.OutputTokens), replica: -1,
		}
		if s.Endpoint >= 0 {
			all[i].replica = number[m.Endpoints[s.Endpoint]]
		}
	}
	return all
}

func perToken(d time.Duration, tokens int) time.Duration {
	if tokens < 2 {
		return 0
	}
	return d / time.Duration(tokens-1)
}

// figures are what a run comes to. Times are in ms.
type figures struct {
	Goodput, Hits                float64 // percent
	TTFTp50, TTFTp90, TPOTp50    float64
	RequestSpread, ComputeSpread float64 // standard deviation over mean of what replicas had: requests, and tokens that were computed
}

func figuresOf(answers []answer, replicas int, o simulate.Objectives) figures {
	var ttft, tpot []float64
	var good, prompt, cached float64
	requests, computed := make([]float64, replicas), make([]float64, replicas)
	for _, a := range answers {
		if !a.complete {
			continue
		}
		ttft = append(ttft, ms(a.ttft))
		if a.tpot > 0 {
			tpot = append(tpot, ms(a.tpot))
		}
		if a.ttft <= o.TTFT && a.tpot <= o.TPOT {
			good++
		}
		prompt, cached = prompt+float64(a.prompt), cached+float64(a.cached)
		requests[a.replica]++
		computed[a.replica] += float64(a.prompt - a.cached + a.output)
	}
	slices.Sort(ttft)
	slices.Sort(tpot)
	return figures{
		Goodput: 100 * good / float64(len(answers)), Hits: 100 * cached / prompt,
		TTFTp50: report.Quantile(ttft, .5), TTFTp90: report.Quantile(ttft, .9), TPOTp50: report.Quantile(tpot, .5),
		RequestSpread: spread(requests), ComputeSpread: spread(computed),
	}
}

// criterion is a figure that is compared.
type criterion struct {
	name string
	of   func(*figures) float64
	// share and more are how far a real run may be from the simulated ones' mean, as a share of it and on top, besides twice their standard
	// deviation.
	share, more float64
	// ordered says that the policies differ in it by so much that every run has them in the same order.
	ordered bool
}

// criteria allow for some three standard deviations of what a real run differs by. Of thirteen real runs of auto over the 8 replicas, on two
// cores that had next to nothing else to do, the standard deviations were 1.3 points of goodput, 1.6 of cache hits, 4 % of the TTFT's median and
// 7 % of its 90th percentile, 2 % of the TPOT's median, and .11 and .07 of the spreads. Those of simulated runs are like them.
var criteria = []criterion{
	{"goodput %", func(f *figures) float64 { return f.Goodput }, 0, 3, true},
	{"cache hits %", func(f *figures) float64 { return f.Hits }, 0, 4, true},
	{"TTFT p50 ms", func(f *figures) float64 { return f.TTFTp50 }, .1, 2, true},
	{"TTFT p90 ms", func(f *figures) float64 { return f.TTFTp90 }, .15, 2, true},
	{"TPOT p50 ms", func(f *figures) float64 { return f.TPOTp50 }, .05, .2, true},
	{"request spread", func(f *figures) float64 { return f.RequestSpread }, .2, .05, false},
	{"compute spread", func(f *figures) float64 { return f.ComputeSpread }, .2, .05, false},
}

// twin is what simulations of several seeds come to, by criterion.
type twin struct{ mean, deviation []float64 }

func newTwin(all []figures) twin {
	var w twin
	for _, c := range criteria {
		values := make([]float64, len(all))
		for i := range all {
			values[i] = c.of(&all[i])
		}
		mean, deviation := moments(values)
		w.mean, w.deviation = append(w.mean, mean), append(w.deviation, deviation)
	}
	return w
}

// allowed is how far from the mean a real run may be by criterion k.
func (w *twin) allowed(k int) float64 {
	return criteria[k].share*w.mean[k] + criteria[k].more + 2*w.deviation[k]
}

// agrees reports whether a real run is within what is allowed.
func (w *twin) agrees(f *figures) bool {
	for k, c := range criteria {
		if math.Abs(c.of(f)-w.mean[k]) > w.allowed(k) {
			return false
		}
	}
	return true
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// spread is the standard deviation over the mean.
func spread(of []float64) float64 {
	mean, deviation := moments(of)
	return deviation / mean
}

func moments(of []float64) (mean, deviation float64) {
	for _, v := range of {
		mean += v / float64(len(of))
	}
	for _, v := range of {
		deviation += (v - mean) * (v - mean) / float64(len(of))
	}
	return mean, math.Sqrt(deviation)
}
