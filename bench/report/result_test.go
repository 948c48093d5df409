package report

import (
	"maps"
	"math"
	"testing"
	"time"
)

// ms is a time in milliseconds.
func ms(x int) time.Duration { return time.Duration(x) * time.Millisecond }

// near says whether two figures are equal but for rounding.
func near(a, b float64) bool { return math.Abs(a-b) <= 1e-9*max(1, math.Abs(a), math.Abs(b)) }

// answered is a complete answer of ten tokens: sent one millisecond late, first token after ttft, and so many milliseconds a token.
func answered(at, ttft, tpot int) Sample {
	first := ms(at + ttft)
	last := first + 9*ms(tpot)
	return Sample{At: ms(at), Sent: ms(at + 1), First: first, Last: last, End: last + ms(1), PromptTokens: 100, CachedTokens: 40, OutputTokens: 10, Pieces: 5, Code: 200}
}

func failed(at int, o Outcome, code int16) Sample {
	return Sample{At: ms(at), Sent: ms(at), End: ms(at + 5), PromptTokens: -1, CachedTokens: -1, OutputTokens: -1, Endpoint: -1, Outcome: o, Code: code}
}

func TestResult(t *testing.T) {
	warm := answered(0, 5000, 1) // counts nowhere
	other := answered(3000, 100, 30)
	other.Endpoint = 1
	m := &Measurement{
		Samples: []Sample{
			warm,
			answered(1000, 50, 10), answered(2000, 100, 20), other, answered(4000, 400, 10),
			failed(4100, Status, 503), failed(4200, Status, 503), failed(4300, Status, 429), failed(4400, Truncated, 200), failed(4500, Connect, 0),
			{At: ms(4600), Outcome: Dropped, Endpoint: -1},
			failed(5000, Cancelled, 0),
		},
		Endpoints: []string{"b", "a"}, Warmup: ms(1000), Schedule: ms(5000), Planned: 12, CPU: &CPU{Of: "x", Seconds: 1},
	}
	r := m.Result(Objectives{TTFT: 0.2, TPOT: 0.025})
	if r.Arrivals != 11 || r.Sent != 10 || r.Dropped != 1 || r.Completed != 4 || r.Failed != 5 || r.Cancelled != 1 {
		t.Errorf("counts %+v", r)
	}
	if want := map[string]int{"status-503": 2, "status-429": 1, "truncated": 1, "connect": 1}; !maps.Equal(r.Errors, want) {
		t.Errorf("errors %v", r.Errors)
	}
	for name, x := range map[string][2]float64{
		"schedule":          {r.ScheduleSeconds, 4},
		"window":            {r.WindowSeconds, 4.005},
		"offered":           {r.OfferedRate, 11.0 / 4},
		"achieved":          {r.AchievedRate, 10.0 / 4},
		"delay":             {r.ScheduleDelay.Max, 0.001},
		"TTFT p50":          {r.TTFT.P50, 0.1},
		"TTFT max":          {r.TTFT.Max, 0.4},
		"TPOT mean":         {r.TPOT.Mean, 0.0175},
		"E2E max":           {r.E2E.Max, 0.491},
		"output tokens":     {float64(r.OutputTokens), 40},
		"output rate":       {r.OutputTokenRate, 40 / 4.005},
		"cached":            {r.CachedShare, 0.4},
		"goodput":           {r.Goodput, 2.0 / 4}, // one token time and one first token are too long
		"goodput share":     {r.GoodputShare, 2.0 / 10},
		"request imbalance": {r.RequestImbalance, 1.5},
		"token imbalance":   {r.TokenImbalance, 1.5},
		"CPU":               {r.CPU.PerRequest, 1.0 / 5}, // the warmup took some of it
		"CPU per piece":     {r.CPU.PerPiece, 1.0 / 25},
	} {
		if !near(x[0], x[1]) {
			t.Errorf("%s is %v, want %v", name, x[0], x[1])
		}
	}
	if len(r.Endpoints) != 2 || r.Endpoints[0] != (Endpoint{"a", 1, 10}) || r.Endpoints[1] != (Endpoint{"b", 3, 30}) {
		t.Errorf("endpoints %v", r.Endpoints)
	}
	if !r.GeneratorLimited {
		t.Error("the generator dropped an arrival, and that is not said")
	}
	arrivals, completed, failures := 0, 0, 0
	inFlight := 0.0
	for _, i := range r.Intervals {
		arrivals, completed, failures = arrivals+i.Arrivals, completed+i.Completed, failures+i.Failed
		inFlight += i.InFlight * r.WindowSeconds / float64(len(r.Intervals))
	}
	// The warm request ends in the window, and was in flight in all of it.
	if arrivals != 11 || completed != 4+1 || failures != 5 || !near(inFlight, 4.005+(0.14+0.28+0.37+0.49)+6*0.005) {
		t.Errorf("%d intervals have %d arrivals, %d complete and %d failed answers, and %v requests times seconds", len(r.Intervals), arrivals, completed, failures, inFlight)
	}
}

func TestObjectives(t *testing.T) {
	one := answered(0, 100, 0)
	one.OutputTokens = 1
	unknown := answered(0, 100, 10)
	unknown.OutputTokens = -1
	whole := answered(0, 0, 0)
	whole.First, whole.Last, whole.End = 0, 0, ms(300)
	for name, c := range map[string]struct {
		s    Sample
		o    Objectives
		want bool
	}{
		"nothing is asked":                {answered(0, 100, 10), Objectives{}, true},
		"at the limits":                   {answered(0, 100, 10), Objectives{TTFT: 0.1, TPOT: 0.01, E2E: 0.191}, true},
		"first token late":                {answered(0, 101, 10), Objectives{TTFT: 0.1}, false},
		"tokens slow":                     {answered(0, 100, 11), Objectives{TPOT: 0.01}, false},
		"end late":                        {answered(0, 100, 10), Objectives{E2E: 0.19}, false},
		"one token has no time per token": {one, Objectives{TPOT: 0.001}, true},
		"nobody counted tokens":           {unknown, Objectives{TPOT: 1}, false},
		"not streamed":                    {whole, Objectives{E2E: 0.3}, true},
		"not streamed has no first token": {whole, Objectives{TTFT: 10}, false},
		"failed":                          {failed(0, Reset, 0), Objectives{}, false},
	} {
		if got := c.o.met(&c.s); got != c.want {
			t.Errorf("%s: met %v", name, got)
		}
	}
}

// TestKeptUp plays a server of limited rate: below it every answer takes as long, beyond it the queue grows.
func TestKeptUp(t *testing.T) {
	for _, c := range []struct {
		name      string
		every     int // milliseconds between arrivals
		service   int // milliseconds between answers, at least
		latency   int // milliseconds that an answer takes anyway
		low, high float64
	}{
		{"quick", 10, 5, 5, 0.97, 1.03},
		{"long answers", 10, 5, 4000, 0.97, 1.03},
		{"half the rate", 10, 20, 5, 0.4, 0.6},
		{"half the rate and long answers", 10, 20, 4000, 0.4, 0.6},
	} {
		m := &Measurement{Schedule: 10 * time.Second}
		free := 0
		for at := 0; at <= 10_000; at += c.every {
			free = max(free, at) + c.service
			s := answered(at, 1, 0)
			s.Endpoint = -1
			s.End = ms(free + c.latency)
			m.Samples = append(m.Samples, s)
		}
		if got := m.Result(Objectives{}).KeptUp; got < c.low || got > c.high {
			t.Errorf("%s: kept up %.2f, want %v to %v", c.name, got, c.low, c.high)
		}
	}
}

func TestRunThatWasCutAmidTheWarmup(t *testing.T) {
	m := &Measurement{Samples: []Sample{answered(0, 10, 1)}, Warmup: ms(5000), Schedule: ms(100), CutShort: true}
	if r := m.Result(Objectives{}); r.ScheduleSeconds != 0 || r.WindowSeconds != 0 || r.OfferedRate != 0 || r.Arrivals != 0 || !r.CutShort || r.KeptUp != 0 {
		t.Errorf("%+v", r)
	}
}
