package main

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/bench/loadgen"
	"github.com/penstock/penstock/bench/trace"
)

// The workloads that are made up.
const (
	workloadIndependent = "independent"
	workloadNoReuse     = "no-reuse"
	workloadPrefixHeavy = "prefix-heavy"
)

var workloads = []string{workloadIndependent, workloadNoReuse, workloadPrefixHeavy}

// benchLoad is what penstock bench sends.
type benchLoad struct {
	rate           float64
	fixed          bool
	file, workload string
	superpose      int
	timeScale      float64
	prompt, output string
	requests       int
	duration       time.Duration
	seed           uint64
	promptTokens   trace.Lengths
	outputTokens   trace.Lengths
	recorded       *trace.Trace // what the file has
}

// parseLengths reads MEAN[:SPREAD[:MAX]].
func parseLengths(flag, text string) (l trace.Lengths, err error) {
	parts := strings.Split(text, ":")
	bad := fmt.Errorf("--%s is %q: want MEAN, MEAN:SPREAD or MEAN:SPREAD:MAX, such as 512:0.8:8000, with a spread from 0 to 3", flag, text)
	if len(parts) > 3 {
		return l, bad
	}
	if l.Mean, err = strconv.Atoi(parts[0]); err != nil || l.Mean < 1 {
		return l, bad
	}
	if len(parts) > 1 {
		if l.Spread, err = strconv.ParseFloat(parts[1], 64); err != nil || !(l.Spread >= 0 && l.Spread <= 3) {
			return l, bad
		}
	}
	if len(parts) > 2 {
		if l.Max, err = strconv.Atoi(parts[2]); err != nil || l.Max < l.Mean {
			return l, bad
		}
	}
	return l, nil
}

// read reads the trace's file, once.
func (l *benchLoad) read() error {
	if l.file == "" {
		return nil
	}
	t, err := trace.Read(l.file)
	if err != nil {
		return err
	}
	if len(t.Requests) == 0 {
		return fmt.Errorf("cannot play %s: it has no requests", l.file)
	}
	l.recorded = t
	return nil
}

// make makes the trace for a rate and a seed; rate 0 is the file's own.
func (l *benchLoad) make(rate float64, seed uint64) (*trace.Trace, error) {
	t, err := l.recording(rate, seed)
	if l.recorded == nil {
		t, err = l.madeUp(rate, seed)
	}
	if err != nil {
		return nil, err
	}
	if l.duration > 0 {
		t = t.Cut(l.duration)
	}
	if l.requests > 0 {
		t = t.Limit(l.requests)
	}
	switch n := len(t.Requests); {
	case n == 0:
		return nil, fmt.Errorf("no request is due in the first %v: want a longer --duration or a higher --rate", l.duration)
	case n > loadgen.MaxRequests:
		return nil, fmt.Errorf("the load has %d requests, and a run sends %d at most: limit it with --requests or --duration", n, loadgen.MaxRequests)
	}
	return t, nil
}

// recording is the trace of the file, as fast as asked for.
func (l *benchLoad) recording(rate float64, seed uint64) (*trace.Trace, error) {
	if l.recorded == nil {
		return nil, nil
	}
	t := l.recorded.Superpose(l.superpose, seed)
	speed := l.timeScale
	if rate > 0 {
		own := t.Summary().Rate
		if own == 0 {
			return nil, errors.New("cannot play the trace at a rate: all of its requests come at once")
		}
		speed = rate / own
	}
	return t.Speed(speed), nil
}

// madeUp generates a workload.
func (l *benchLoad) madeUp(rate float64, seed uint64) (*trace.Trace, error) {
	duration := l.duration
	if duration == 0 && l.requests == 0 {
		duration = defaultBenchDuration
	}
	n := l.requests
	if duration > 0 {
		// Six standard deviations more than the mean come in the duration once in a billion times.
		mean := rate * duration.Seconds()
		if enough := mean + 6*math.Sqrt(mean) + 10; n == 0 || enough < float64(n) {
			n = int(min(enough, loadgen.MaxRequests+1))
		}
	}
	if n > loadgen.MaxRequests {
		return nil, fmt.Errorf("%v at %v requests a second is more than a run can send, %d: want a shorter --duration", duration, rate, loadgen.MaxRequests)
	}
	t, err := l.generate(rate, n, seed)
	if err != nil {
		return nil, err
	}
	if duration > 0 {
		t = t.Cut(duration)
	}
	return t, nil
}

func (l *benchLoad) generate(rate float64, n int, seed uint64) (*trace.Trace, error) {
	const longest = 1e8 // seconds, which is what traces can be
	if float64(n)/rate > longest {
		return nil, fmt.Errorf("%d requests at %v a second take more than three years: want a higher --rate", n, rate)
	}
	switch l.workload {
	case workloadPrefixHeavy:
		return trace.PrefixHeavy(rate, n, seed), nil
	case workloadNoReuse:
		t := trace.NoReuse(rate, n, seed)
		if l.fixed {
			for i := range t.Requests {
				t.Requests[i].At = time.Duration(float64(i) / rate * float64(time.Second))
			}
		}
		return t, nil
	}
	return trace.Independent(trace.IndependentOptions{
		Rate: rate, Requests: n, Seed: seed, Fixed: l.fixed, PromptTokens: l.promptTokens, OutputTokens: l.outputTokens,
	})
}
