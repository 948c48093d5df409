package trace

import (
	"fmt"
	"math"
	"math/rand/v2"
)

// Lengths is a lognormal distribution of lengths.
type Lengths struct {
	// Mean is the mean in tokens, before lengths are limited to Max. It is at least 1.
	Mean int
	// Spread is the standard deviation of the length's logarithm, from 0 to 3. With 0 every length is Mean.
	Spread float64
	// Max is the longest length in tokens; what is drawn above it becomes Max. 0 is no limit.
	Max int
}

const (
	maxMean   = 1_000_000 // tokens
	maxSpread = 3
)

func (l Lengths) validate(name string) error {
	switch {
	case l.Mean < 1 || l.Mean > maxMean:
		return fmt.Errorf("cannot use %s.Mean = %d: it must be between 1 and %d tokens", name, l.Mean, maxMean)
	case !(l.Spread >= 0 && l.Spread <= maxSpread):
		return fmt.Errorf("cannot use %s.Spread = %v: it must be between 0 and %d", name, l.Spread, maxSpread)
	case l.Max != 0 && (l.Max < l.Mean || l.Max > maxNumber):
		return fmt.Errorf("cannot use %s.Max = %d: it must be 0 for no limit, or between the mean of %d and %d tokens", name, l.Max, l.Mean, maxNumber)
	}
	return nil
}

// draw returns a length, at least 1.
func (l Lengths) draw(random *rand.Rand) int {
	length := float64(l.Mean)
	if l.Spread > 0 {
		// A lognormal variable has the mean exp(mu + sigma^2/2).
		mu := math.Log(length) - float64(l.Spread*l.Spread)/2
		length = math.Round(math.Exp(mu + float64(l.Spread*random.NormFloat64())))
	}
	limit := maxNumber
	if l.Max > 0 {
		limit = l.Max
	}
	return int(max(1, min(length, float64(limit))))
}
