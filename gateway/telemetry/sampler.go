package telemetry

import (
	"encoding/binary"
	"fmt"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel/trace"
)

// sampler decides which requests are traced before anything is made for one. It decides as the samplers of the specification do that it is
// named after; the zero value is parentbased_always_on, the default.
type sampler struct {
	// ignoresParent says that the caller's decision does not count.
	ignoresParent bool
	// unsampled is how many of 2^63 traces are not sampled: those with the highest ids, so that whoever samples by a ratio agrees.
	unsampled uint64
}

const allTraces = 1 << 63

// parseSampler reads OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG. With an error comes what is used instead.
func parseSampler(name, arg string) (sampler, error) {
	switch strings.ToLower(name) { // the specification wants names that are known whatever their case
	case "", "parentbased_always_on":
		return sampler{}, nil
	case "parentbased_always_off":
		return sampler{unsampled: allTraces}, nil
	case "always_on":
		return sampler{ignoresParent: true}, nil
	case "always_off":
		return sampler{ignoresParent: true, unsampled: allTraces}, nil
	case "traceidratio", "parentbased_traceidratio":
		s := sampler{ignoresParent: strings.EqualFold(name, "traceidratio")}
		if arg == "" {
			return s, nil
		}
		ratio, err := strconv.ParseFloat(arg, 64)
		if err != nil || !(ratio >= 0 && ratio <= 1) {
			return s, fmt.Errorf("cannot use OTEL_TRACES_SAMPLER_ARG=%q: it must be a number from 0 to 1; it counts as 1", arg)
		}
		s.unsampled = allTraces - uint64(ratio*allTraces)
		return s, nil
	}
	return sampler{}, fmt.Errorf("cannot use OTEL_TRACES_SAMPLER=%q: it must be one of always_on, always_off, traceidratio, parentbased_always_on, "+
		"parentbased_always_off, parentbased_traceidratio; parentbased_always_on is used", name)
}

// samples reports whether a trace is followed; parent is what the caller said, nil if it said nothing.
func (s *sampler) samples(id trace.TraceID, parent *remoteParent) bool {
	if parent != nil && !s.ignoresParent {
		return parent.flags.IsSampled()
	}
	return binary.BigEndian.Uint64(id[8:])>>1 < allTraces-s.unsampled
}
