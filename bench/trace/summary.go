package trace

import (
	"fmt"
	"slices"
	"time"
)

// Summary describes a trace in numbers.
type Summary struct {
	// Name is the trace's.
	Name string
	// Requests is how many there are, and Duration when the last one comes.
	Requests int
	Duration time.Duration
	// Rate is Requests by Duration, in requests a second; 0 where all come at once.
	Rate float64
	// Prompt and Output are the lengths of prompts and of answers.
	Prompt, Output LengthSummary
	// HitRate is the share of prompt tokens, from 0 to 1, that one unlimited cache for all requests would find: those in leading blocks
	// that an earlier request had in its prompt or its answer.
	HitRate float64
}

// LengthSummary is how lengths are distributed, in tokens.
type LengthSummary struct {
	Mean     float64
	P50, P99 int
}

// Summary computes the summary.
func (t *Trace) Summary() Summary {
	s := Summary{
		Name:     t.Name,
		Requests: len(t.Requests),
		Duration: t.Duration(),
		Prompt:   t.lengths(func(r *Request) int { return r.PromptTokens }),
		Output:   t.lengths(func(r *Request) int { return r.OutputTokens }),
		HitRate:  t.hitRate(),
	}
	if s.Duration > 0 {
		s.Rate = float64(s.Requests) / s.Duration.Seconds()
	}
	return s
}

// String is one line for humans.
func (s Summary) String() string {
	return fmt.Sprintf("%s: %d requests in %v (%.2f/s), prompts %v, answers %v, ideal hit rate %.3f",
		s.Name, s.Requests, s.Duration.Round(time.Millisecond), s.Rate, s.Prompt, s.Output, s.HitRate)
}

// String has mean and quantiles.
func (s LengthSummary) String() string {
	return fmt.Sprintf("%.0f tokens (p50 %d, p99 %d)", s.Mean, s.P50, s.P99)
}

func (t *Trace) lengths(length func(*Request) int) LengthSummary {
	n := len(t.Requests)
	if n == 0 {
		return LengthSummary{}
	}
	lengths := make([]int, n)
	sum := 0.0
	for i := range t.Requests {
		lengths[i] = length(&t.Requests[i])
		sum += float64(lengths[i])
	}
	slices.Sort(lengths)
	rank := func(percent int) int { return lengths[(n*percent+99)/100-1] } // nearest rank
	return LengthSummary{Mean: sum / float64(n), P50: rank(50), P99: rank(99)}
}

func (t *Trace) hitRate() float64 {
	cached := make(map[uint64]struct{})
	var found, all float64
	for i := range t.Requests {
		r := &t.Requests[i]
		prompt := r.Blocks[:min(len(r.Blocks), r.PromptTokens/t.BlockTokens)]
		hits := 0
		for hits < len(prompt) {
			if _, ok := cached[prompt[hits]]; !ok {
				break
			}
			hits++
		}
		for _, name := range r.Blocks[hits:] {
			cached[name] = struct{}{}
		}
		found += float64(hits * t.BlockTokens)
		all += float64(r.PromptTokens)
	}
	if all == 0 {
		return 0
	}
	return found / all
}
