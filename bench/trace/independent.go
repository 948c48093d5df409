package trace

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"
)

// IndependentOptions describe requests that have nothing to do with each other.
type IndependentOptions struct {
	// Rate is the mean number of requests a second.
	Rate float64
	// Requests is how many there are, at most 10 million.
	Requests int
	// Seed decides everything that is random: equal options with equal seeds give equal traces.
	Seed uint64
	// Fixed makes requests come at equal intervals, the first at 0. Otherwise they come as a Poisson process.
	Fixed bool
	// PromptTokens and OutputTokens are the lengths of prompts and of answers.
	PromptTokens, OutputTokens Lengths
}

// Validate checks that the options make sense.
func (o *IndependentOptions) Validate() error {
	if err := validateArrivals(o.Rate, o.Requests); err != nil {
		return err
	}
	if err := o.PromptTokens.validate("PromptTokens"); err != nil {
		return err
	}
	return o.OutputTokens.validate("OutputTokens")
}

// maxGenerated is the longest trace that is generated, in seconds: about three years.
const maxGenerated = 1e8

func validateArrivals(rate float64, requests int) error {
	switch {
	case !(rate > 0) || math.IsInf(rate, 0):
		return fmt.Errorf("cannot use Rate = %v: it must be a positive number of requests a second", rate)
	case requests < 1 || requests > maxRows:
		return fmt.Errorf("cannot use Requests = %d: it must be between 1 and %d", requests, maxRows)
	case float64(requests)/rate > maxGenerated:
		return fmt.Errorf("cannot use Rate = %v with Requests = %d: the trace must not be longer than %.0f s", rate, requests, maxGenerated)
	}
	return nil
}

// Independent generates requests of which no two have anything in common: no request has Blocks. The error says which option makes no
// sense.
func Independent(o IndependentOptions) (*Trace, error) {
	if err := o.Validate(); err != nil {
		return nil, err
	}
	random := rand.New(rand.NewPCG(o.Seed, 0))
	t := &Trace{
		Name:        fmt.Sprintf("independent requests, %.4g/s", o.Rate),
		BlockTokens: defaultBlockTokens,
		Requests:    make([]Request, o.Requests),
	}
	var at float64 // seconds
	for i := range t.Requests {
		if o.Fixed {
			at = float64(i) / o.Rate
		} else {
			at += random.ExpFloat64() / o.Rate
		}
		t.Requests[i] = Request{
			At:           time.Duration(at * 1e9),
			PromptTokens: o.PromptTokens.draw(random),
			OutputTokens: o.OutputTokens.draw(random),
		}
	}
	return t, nil
}
