package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
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

// loadFlags are the flags that say what load penstock bench sends, and penstock simulate plays.
type loadFlags struct {
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
	usual          time.Duration // how long a workload is where nothing says so
	recorded       *trace.Trace  // what the file has
}

// loadWords are what the flags' sentences call things, which differs between subcommands.
type loadWords struct {
	sent, duration, seed string
}

// define adds the flags.
func (l *loadFlags) define(f *flagSet, usual time.Duration, w loadWords) {
	l.usual = usual
	f.Float64Var(&l.rate, "rate", 0, "Requests "+w.sent+" at `RATE` a second on average. Without it a workload has 10 a second, and a trace its own rate.")
	f.BoolVar(&l.fixed, "fixed", false, "Requests "+w.sent+" at equal intervals instead of at the random ones of a Poisson process.")
	f.StringVar(&l.file, "trace", "", "The load is the trace in `FILE`: CSV as Azure publishes them, or JSON lines as Mooncake does.")
	f.IntVar(&l.superpose, "superpose", 1, "The trace is played `N` times over itself, each copy with conversations of its own, shifted in time.")
	f.Float64Var(&l.timeScale, "time-scale", 1, "The trace is played `FACTOR` times as fast as it was recorded.")
	f.StringVar(&l.workload, "workload", workloadIndependent, "The load is made up, of the kind `NAME`: independent (prompts with nothing in common, of the lengths that are asked for), no-reuse (the same, as long as real ones) or prefix-heavy (chats about shared documents).")
	f.StringVar(&l.prompt, "prompt-tokens", "512", "Prompts of independent requests have `MEAN[:SPREAD[:MAX]]` tokens: the mean, the standard deviation of their logarithm, and the most.")
	f.StringVar(&l.output, "output-tokens", "128", "Answers to independent requests have `MEAN[:SPREAD[:MAX]]` tokens, as --prompt-tokens.")
	f.IntVar(&l.requests, "requests", 0, "At most `N` requests "+w.sent+"; 0 is what the duration holds.")
	f.DurationVar(&l.duration, "duration", 0, "Requests "+w.sent+" for `DURATION`"+w.duration+". Without it and --requests, a workload takes "+shortDuration(usual)+", and a trace as long as it is.")
	f.Uint64Var(&l.seed, "seed", 1, "The seed `NUMBER` decides all that is random: "+w.seed)
}

// shortDuration is 10m rather than 10m0s.
func shortDuration(d time.Duration) string {
	text := d.String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// check says what is wrong with the flags, but for the rate.
func (l *loadFlags) check(f *flagSet) error {
	if l.file == "" {
		if err := withoutIts(f, "--trace FILE", "superpose", "time-scale"); err != nil {
			return err
		}
	} else {
		for _, name := range []string{"workload", "fixed"} {
			if f.isSet(name) {
				return fmt.Errorf("--%s cannot be combined with --trace, which says when what is sent", name)
			}
		}
	}
	if l.file != "" || l.workload != workloadIndependent {
		if err := withoutIts(f, "--workload independent", "prompt-tokens", "output-tokens"); err != nil {
			return err
		}
	}
	if l.fixed && l.workload == workloadPrefixHeavy {
		return errors.New("--fixed cannot be combined with --workload prefix-heavy, whose users answer when they have read")
	}
	switch {
	case l.superpose < 1:
		return fmt.Errorf("--superpose is %d: want at least 1", l.superpose)
	case !(l.timeScale > 0) || math.IsInf(l.timeScale, 0):
		return fmt.Errorf("--time-scale is %v: want more than 0", l.timeScale)
	case !slices.Contains(workloads, l.workload):
		return fmt.Errorf("--workload is %q: want one of %s", l.workload, strings.Join(workloads, ", "))
	case l.requests < 0 || l.requests > loadgen.MaxRequests:
		return fmt.Errorf("--requests is %d: want at most %d", l.requests, loadgen.MaxRequests)
	case l.duration < 0:
		return fmt.Errorf("--duration is %v: want more than 0", l.duration)
	}
	var err error
	if l.promptTokens, err = parseLengths("prompt-tokens", l.prompt); err != nil {
		return err
	}
	l.outputTokens, err = parseLengths("output-tokens", l.output)
	return err
}

// possibleRate says whether loads can have so many requests a second.
func possibleRate(rate float64) bool { return rate > 0 && rate <= 1e6 }

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
func (l *loadFlags) read() error {
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
func (l *loadFlags) make(rate float64, seed uint64) (*trace.Trace, error) {
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
func (l *loadFlags) recording(rate float64, seed uint64) (*trace.Trace, error) {
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
func (l *loadFlags) madeUp(rate float64, seed uint64) (*trace.Trace, error) {
	duration := l.duration
	if duration == 0 && l.requests == 0 {
		duration = l.usual
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

func (l *loadFlags) generate(rate float64, n int, seed uint64) (*trace.Trace, error) {
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
