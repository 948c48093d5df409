package report

import (
	"slices"
	"strings"
	"time"
)

// Measurement is what a run recorded.
type Measurement struct {
	// Samples has one entry for each arrival whose time came.
	Samples []Sample
	// Endpoints are the names that Sample.Endpoint counts from 0.
	Endpoints []string
	// Gaps are the times between pieces of text, of the requests after the warmup; nil if there are none.
	Gaps *Histogram
	// Warmup is how long arrivals count in no figure.
	Warmup time.Duration
	// Schedule is how long arrivals were made: to the last one, or to when the run was cut short.
	Schedule time.Duration
	// Planned is how many arrivals there were to be.
	Planned int
	// CutShort says that the run was ended before all arrivals.
	CutShort bool
	// CPU is what the target used; nil where it is not known.
	CPU *CPU
}

// CPU is the processor time that a run took.
type CPU struct {
	// Of says whose it is: a process, or all that ran in this one.
	Of string `json:"of"`
	// Seconds is the time of all cores.
	Seconds float64 `json:"seconds"`
	// PerRequest and PerPiece are that for each answered request, warmup included, and for each piece of text, in seconds.
	PerRequest float64 `json:"perRequestSeconds"`
	PerPiece   float64 `json:"perPieceSeconds"`
}

// Result is the figures of one run. Only arrivals after the warmup count. Latencies are those of complete answers, and count from the
// scheduled time.
type Result struct {
	// ScheduleSeconds is how long arrivals were measured, and WindowSeconds is that with the time until the last answer ended.
	ScheduleSeconds float64 `json:"scheduleSeconds"`
	WindowSeconds   float64 `json:"windowSeconds"`
	CutShort        bool    `json:"cutShort,omitempty"`
	// Arrivals is how many requests were due; of these the generator Sent and Dropped some, as too many were in flight.
	Arrivals int `json:"arrivals"`
	Sent     int `json:"sent"`
	Dropped  int `json:"dropped"`
	// Completed is how many answers were complete, Failed how many were not, and Cancelled how many the run's end cut.
	Completed int `json:"completed"`
	Failed    int `json:"failed"`
	Cancelled int `json:"cancelled"`
	// Errors counts failures by kind: status-CODE, connect, closed, reset, truncated, error-event, invalid and timeout.
	Errors map[string]int `json:"errors"`

	// OfferedRate is how many requests a second were due, and AchievedRate how many were sent.
	OfferedRate  float64 `json:"offeredRate"`
	AchievedRate float64 `json:"achievedRate"`
	// ScheduleDelay is how much later than scheduled the generator sent, in seconds.
	ScheduleDelay Distribution `json:"scheduleDelaySeconds"`
	// GeneratorLimited says that the generator was the bottleneck, so that the latencies are partly its own.
	GeneratorLimited bool `json:"generatorLimited"`

	// TTFT is the time to first token, TPOT the time per token after the first, and E2E the time to the end of the answer, in seconds.
	TTFT Distribution `json:"ttftSeconds"`
	TPOT Distribution `json:"tpotSeconds"`
	E2E  Distribution `json:"e2eSeconds"`
	// GapP99 and GapMax are of the times between two pieces of text, in seconds; GapP99 may be 1/32 too long.
	GapP99 float64 `json:"gapP99Seconds"`
	GapMax float64 `json:"gapMaxSeconds"`

	// CompletedRate is complete answers a second over the window.
	CompletedRate float64 `json:"completedRate"`
	// KeptUp is how many answers ended for each request that was due in the second half of the schedule, the time moved on by the median E2E
	// of requests that were due before: about 1 unless the target is beyond saturation.
	KeptUp float64 `json:"keptUp"`
	// PromptTokens, CachedTokens and OutputTokens are what the usage of complete answers adds up to. WithoutUsage had none.
	PromptTokens int64 `json:"promptTokens"`
	CachedTokens int64 `json:"cachedTokens"`
	OutputTokens int64 `json:"outputTokens"`
	WithoutUsage int   `json:"withoutUsage"`
	// CachedShare is the share of prompt tokens that a prefix cache had.
	CachedShare float64 `json:"cachedShare"`
	// PromptTokenRate and OutputTokenRate are tokens a second over the window.
	PromptTokenRate float64 `json:"promptTokenRate"`
	OutputTokenRate float64 `json:"outputTokenRate"`

	// Goodput is requests a second that met every objective, and GoodputShare their share of the arrivals that the run's end did not cut.
	Goodput      float64 `json:"goodput"`
	GoodputShare float64 `json:"goodputShare"`

	// Endpoints are those that answered, by name, as far as answers tell.
	Endpoints []Endpoint `json:"endpoints,omitempty"`
	// RequestImbalance and TokenImbalance are the most that one endpoint had of requests and output tokens, as multiples of the mean over
	// the endpoints that answered; 0 where endpoints are not known.
	RequestImbalance float64 `json:"requestImbalance"`
	TokenImbalance   float64 `json:"tokenImbalance"`

	// CPU is what the target used; nil where it is not known.
	CPU *CPU `json:"cpu,omitempty"`

	// TTFTCurve and TPOTCurve are the cumulative distributions: x in seconds, y the share of answers.
	TTFTCurve []Point `json:"ttftCurve,omitempty"`
	TPOTCurve []Point `json:"tpotCurve,omitempty"`
	// Intervals cut the window into equal parts.
	Intervals []Interval `json:"intervals,omitempty"`
}

// Endpoint is what one endpoint answered after the warmup.
type Endpoint struct {
	Name         string `json:"name"`
	Requests     int    `json:"requests"`
	OutputTokens int64  `json:"outputTokens"`
}

// Interval is a part of a run's window.
type Interval struct {
	// Start is when it begins, in seconds since the warmup's end.
	Start float64 `json:"startSeconds"`
	// Arrivals, Completed and Failed count what happened in it.
	Arrivals  int `json:"arrivals"`
	Completed int `json:"completed"`
	Failed    int `json:"failed"`
	// InFlight is how many requests were in flight on average.
	InFlight float64 `json:"inFlight"`
	// CompletedRate and OutputTokenRate are per second, by when answers ended.
	CompletedRate   float64 `json:"completedRate"`
	OutputTokenRate float64 `json:"outputTokenRate"`
	// TTFT and E2E are of the requests that were due in it, in seconds.
	TTFT Distribution `json:"ttftSeconds"`
	E2E  Distribution `json:"e2eSeconds"`
}

const (
	// lateGenerator is the schedule delay in seconds beyond which, at the 99th percentile, the generator was the bottleneck.
	lateGenerator = 0.005
	curvePoints   = 120
	maxIntervals  = 60
)

// Result computes the figures.
func (m *Measurement) Result(o Objectives) *Result {
	r := &Result{Errors: make(map[string]int), CutShort: m.CutShort}
	end := m.Schedule
	var delays, ttfts, tpots, e2es []float64
	var met int
	endpoints := make([]Endpoint, len(m.Endpoints))
	for i, name := range m.Endpoints {
		endpoints[i].Name = name
	}
	for i := range m.Samples {
		s := &m.Samples[i]
		if s.At < m.Warmup {
			continue
		}
		r.Arrivals++
		if s.Outcome == Dropped {
			r.Dropped++
			continue
		}
		r.Sent++
		end = max(end, s.End)
		delays = append(delays, (s.Sent - s.At).Seconds())
		if s.Endpoint >= 0 {
			endpoints[s.Endpoint].Requests++
			endpoints[s.Endpoint].OutputTokens += int64(max(s.OutputTokens, 0))
		}
		switch s.Outcome {
		case OK:
			r.Completed++
			r.countTokens(s)
			if x, ok := s.ttft(); ok {
				ttfts = append(ttfts, x)
			}
			if x, ok := s.tpot(); ok {
				tpots = append(tpots, x)
			}
			e2es = append(e2es, s.e2e())
			if o.met(s) {
				met++
			}
		case Cancelled:
			r.Cancelled++
		default:
			r.Failed++
			r.Errors[s.errorName()]++
		}
	}
	// A run may be cut short amid the warmup.
	r.ScheduleSeconds, r.WindowSeconds = max(0, m.Schedule-m.Warmup).Seconds(), max(0, end-m.Warmup).Seconds()
	r.OfferedRate, r.AchievedRate = per(r.Arrivals, r.ScheduleSeconds), per(r.Sent, m.sendingSeconds())
	r.CompletedRate = per(r.Completed, r.WindowSeconds)
	r.PromptTokenRate, r.OutputTokenRate = per(r.PromptTokens, r.WindowSeconds), per(r.OutputTokens, r.WindowSeconds)
	r.CachedShare = per(r.CachedTokens, float64(r.PromptTokens))
	r.KeptUp = m.keptUp()
	r.Goodput, r.GoodputShare = per(met, r.ScheduleSeconds), per(met, float64(r.Arrivals-r.Cancelled))
	r.ScheduleDelay = Percentiles(delays)
	r.GeneratorLimited = r.ScheduleDelay.P99 > lateGenerator || r.Dropped > 0
	slices.Sort(ttfts)
	slices.Sort(tpots)
	r.TTFT, r.TPOT, r.E2E = sortedPercentiles(ttfts), sortedPercentiles(tpots), Percentiles(e2es)
	r.TTFTCurve, r.TPOTCurve = sortedCDF(ttfts, curvePoints), sortedCDF(tpots, curvePoints)
	if m.Gaps != nil && m.Gaps.Count() > 0 {
		r.GapP99, r.GapMax = m.Gaps.Quantile(0.99), m.Gaps.Max()
	}
	r.balance(endpoints)
	r.Intervals = m.intervals(end)
	r.CPU = m.cpu()
	return r
}

func (r *Result) countTokens(s *Sample) {
	if s.OutputTokens < 0 {
		r.WithoutUsage++
		return
	}
	r.PromptTokens += int64(max(s.PromptTokens, 0))
	r.CachedTokens += int64(max(s.CachedTokens, 0))
	r.OutputTokens += int64(s.OutputTokens)
}

// sendingSeconds is how long sending the measured arrivals took.
func (m *Measurement) sendingSeconds() float64 {
	last := m.Schedule
	for i := range m.Samples {
		last = max(last, m.Samples[i].Sent)
	}
	return (last - m.Warmup).Seconds()
}

// keptUp is Result.KeptUp.
func (m *Measurement) keptUp() float64 {
	half := m.Warmup + (m.Schedule-m.Warmup)/2
	var early []float64
	due := 0
	for i := range m.Samples {
		s := &m.Samples[i]
		if s.At > half {
			due++
		} else if s.Outcome == OK && s.At >= m.Warmup {
			early = append(early, s.e2e())
		}
	}
	lag := time.Duration(Percentiles(early).P50 * float64(time.Second))
	done := 0
	for i := range m.Samples {
		if s := &m.Samples[i]; s.Outcome == OK && s.End > half+lag && s.End <= m.Schedule+lag {
			done++
		}
	}
	return per(done, float64(due))
}

// per divides, and knows 0 for what nothing divides.
func per[N int | int64](n N, by float64) float64 {
	if by <= 0 {
		return 0
	}
	return float64(n) / by
}

func (r *Result) balance(endpoints []Endpoint) {
	var requests, tokens, mostRequests, mostTokens int64
	for _, e := range endpoints {
		if e.Requests == 0 {
			continue
		}
		r.Endpoints = append(r.Endpoints, e)
		requests += int64(e.Requests)
		tokens += e.OutputTokens
		mostRequests, mostTokens = max(mostRequests, int64(e.Requests)), max(mostTokens, e.OutputTokens)
	}
	n := int64(len(r.Endpoints))
	slices.SortFunc(r.Endpoints, func(a, b Endpoint) int { return strings.Compare(a.Name, b.Name) })
	r.RequestImbalance, r.TokenImbalance = per(mostRequests*n, float64(requests)), per(mostTokens*n, float64(tokens))
}

func (m *Measurement) cpu() *CPU {
	if m.CPU == nil {
		return nil
	}
	c := *m.CPU
	requests, pieces := 0, 0
	for i := range m.Samples {
		if s := &m.Samples[i]; s.Outcome == OK {
			requests++
			pieces += int(s.Pieces)
		}
	}
	if requests > 0 {
		c.PerRequest = c.Seconds / float64(requests)
	}
	if pieces > 0 {
		c.PerPiece = c.Seconds / float64(pieces)
	}
	return &c
}

// intervals cuts the window, which ends at end, into parts of at least a tenth of a second.
func (m *Measurement) intervals(end time.Duration) []Interval {
	window := end - m.Warmup
	if window <= 0 {
		return nil
	}
	n := int(min(maxIntervals, max(1, window/(100*time.Millisecond))))
	width := window / time.Duration(n)
	list := make([]Interval, n)
	ttfts, e2es := make([][]float64, n), make([][]float64, n)
	of := func(t time.Duration) int { return min(max(int((t-m.Warmup)/max(width, 1)), 0), n-1) }
	for i := range m.Samples {
		s := &m.Samples[i]
		if s.At >= m.Warmup {
			k := of(s.At)
			list[k].Arrivals++
			if x, ok := s.ttft(); ok && s.Outcome == OK {
				ttfts[k] = append(ttfts[k], x)
			}
			if s.Outcome == OK {
				e2es[k] = append(e2es[k], s.e2e())
			}
		}
		if s.Outcome == Dropped || s.End < m.Warmup {
			continue
		}
		switch k := of(s.End); s.Outcome {
		case OK:
			list[k].Completed++
			list[k].OutputTokenRate += float64(max(s.OutputTokens, 0)) / width.Seconds()
		case Cancelled:
		default:
			list[k].Failed++
		}
		for k := of(s.Sent); k <= of(s.End); k++ {
			from, to := m.Warmup+time.Duration(k)*width, m.Warmup+time.Duration(k+1)*width
			list[k].InFlight += max(0, (min(s.End, to)-max(s.Sent, from)).Seconds()) / width.Seconds()
		}
	}
	for k := range list {
		i := &list[k]
		i.Start = (time.Duration(k) * width).Seconds()
		i.CompletedRate = per(i.Completed, width.Seconds())
		i.TTFT, i.E2E = Percentiles(ttfts[k]), Percentiles(e2es[k])
	}
	return list
}
