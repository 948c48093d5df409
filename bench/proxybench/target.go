package main

import (
	"fmt"
	"math"
)

// target is what Penstock is to reach in a scenario.
type target struct {
	// metric is the key of one of the scenario's metrics.
	metric string
	// base is the proxy whose figure Penstock's is divided by, round by round.
	base string
	// most is the highest median that is good enough.
	most float64
}

// noBase is the base of a target that is meant in the metric's unit.
const noBase = ""

// targetFindings says which targets were met.
func (r *report) targetFindings() []string {
	var notes []string
	for _, part := range r.Scenarios {
		for _, t := range part.scenario.targets {
			if note := part.judge(t); note != "" {
				notes = append(notes, note)
			}
		}
	}
	return notes
}

// judge compares the figures with a target; it says nothing where there are none.
func (s *section) judge(t target) string {
	own, base := s.entry(namePenstock), s.entry(t.base)
	if own == nil || base == nil && t.base != noBase {
		return ""
	}
	figure := own.Values[t.metric]
	reached, times := figure.Spread, ""
	if t.base != noBase {
		reached, times = spreadOf(ratios(floats(figure.Rounds), floats(base.Values[t.metric].Rounds))), " times "+t.base+"'s"
	}
	if reached.Rounds == 0 {
		return ""
	}
	verdict := "Target met"
	if hundredths(reached.Median) > hundredths(t.most) {
		verdict = "TARGET MISSED"
	}
	return fmt.Sprintf("%s: %s of %s is %.2f%s (%s); it should be at most %.2f.",
		verdict, figure.Title, s.Name, reached.Median, times, extremes("%.2f", reached), t.most)
}

// hundredths is a figure as exactly as it is printed.
func hundredths(figure float64) float64 { return math.Round(100 * figure) }
