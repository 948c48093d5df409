package simulate

import (
	"fmt"
	"math"
	"time"
)

// Autoscale is Kubernetes's HorizontalPodAutoscaler with a metric from outside and an average value as its target (algorithm and defaults as its
// documentation says): it wants ceil(metric/Target) replicas, does nothing while the metric of those that there are, ready or not, is within a
// tenth of the target, at most doubles the fleet or adds four every 15 s, and takes away only what it has not wanted for the whole of
// Stabilization.
type Autoscale struct {
	// Metric is what is divided by Target, summed over all gateways.
	Metric ScaleMetric
	// Target is how much of it one replica is to have.
	Target float64
	// Min and Max bound the number of replicas.
	Min, Max int
	// Interval is the time between two looks; 0 is 15 s.
	Interval time.Duration
	// Stabilization is how far back the highest wish counts before replicas are taken away; Kubernetes's default is five minutes, 0 is none.
	Stabilization time.Duration
}

// ScaleMetric names what Autoscale goes by.
type ScaleMetric string

const (
	// OutstandingRequests is requests in flight or queued (penstock_outstanding_requests).
	OutstandingRequests ScaleMetric = "requests"
	// OutstandingTokens is prompt tokens that are still to be computed (penstock_outstanding_tokens). Policies that do not look at prompts count
	// none.
	OutstandingTokens ScaleMetric = "tokens"
)

const (
	scaleInterval  = 15 * time.Second
	scaleTolerance = .1
	scalePeriod    = 15 * time.Second // in which the fleet may double or grow by scaleAtLeast
	scaleAtLeast   = 4
)

func (a *Autoscale) validate(policy string) error {
	switch {
	case a == nil:
		return nil
	case a.Metric == OutstandingTokens && !readsPrompts(policy):
		return fmt.Errorf("cannot scale by %s with the policy %s: it does not look at prompts, so gateways count none", a.Metric, policy)
	case a.Metric != OutstandingRequests && a.Metric != OutstandingTokens:
		return fmt.Errorf("cannot scale by %q: want %s or %s", a.Metric, OutstandingRequests, OutstandingTokens)
	case !(a.Target > 0) || math.IsInf(a.Target, 1):
		return fmt.Errorf("cannot scale to a target of %v per replica: want a positive number", a.Target)
	case a.Min < 1 || a.Max < a.Min || a.Max > maxReplicas:
		return fmt.Errorf("cannot scale between %d and %d replicas: want at least 1, and at most %d", a.Min, a.Max, maxReplicas)
	case a.Interval != 0 && a.Interval < time.Millisecond || a.Interval > longest:
		return fmt.Errorf("cannot scale with an interval of %v: want 0 for %v, or 1ms to %v", a.Interval, scaleInterval, longest)
	case a.Stabilization < 0 || a.Stabilization > longest:
		return fmt.Errorf("cannot scale with a stabilization of %v: want 0 to %v", a.Stabilization, longest)
	}
	return nil
}

// scaler is the autoscaler's state.
type scaler struct {
	wishes  []sizeAt // what the metric said, within the stabilization window
	changes []sizeAt // by how much the fleet was changed, within scalePeriod
}

type sizeAt struct {
	at       int64
	replicas int
}

func (s *scaler) begin(w *world) {
	a := w.o.Autoscale
	if a == nil {
		return
	}
	interval := a.Interval
	if interval == 0 {
		interval = scaleInterval
	}
	var look func(w *world)
	look = func(w *world) {
		w.events.push(w.now+int64(interval), look)
		s.act(w, a)
	}
	w.events.push(int64(interval), look)
}

// act brings the fleet to the size that is wanted.
func (s *scaler) act(w *world, a *Autoscale) {
	size := w.size()
	want := s.stabilized(a, w.now, size, w.metric(a.Metric))
	if want != size {
		s.changes = append(s.changes, sizeAt{w.now, want - size})
	}
	for ; size < want; size++ {
		w.start(&w.o.Fleet[0], w.o.StartTime)
	}
	for i := len(w.replicas) - 1; i >= 0 && size > want; i-- { // the youngest go first, as those that are not ready yet do
		switch r := w.replicas[i]; {
		case r.state == replicaReady || r.state == replicaStarting:
			w.drain(r, false)
			size--
		case r.state == replicaDraining && r.successor:
			r.successor = false
			size--
		}
	}
}

// stabilized is how many replicas there are to be, where there are size and total of the metric.
func (s *scaler) stabilized(a *Autoscale, now int64, size int, total float64) int {
	want := a.wish(size, total)
	s.wishes = append(since(s.wishes, now-int64(a.Stabilization)), sizeAt{now, want})
	s.changes = since(s.changes, now-int64(scalePeriod))
	if want < size {
		for _, before := range s.wishes {
			want = max(want, min(before.replicas, size))
		}
	}
	if size >= a.Min { // a fleet that is too small is brought to Min at once
		want = min(want, s.most(size))
	}
	return min(max(want, a.Min), a.Max)
}

// wish is what the metric alone says.
func (a *Autoscale) wish(size int, total float64) int {
	if ratio := total / (a.Target * float64(size)); math.Abs(ratio-1) <= scaleTolerance {
		return size
	}
	return int(min(math.Ceil(total/a.Target), maxReplicas))
}

// most is what a fleet of that size may grow to.
func (s *scaler) most(size int) int {
	before := size // the period
	for _, c := range s.changes {
		before -= c.replicas
	}
	return max(size, 2*before, before+scaleAtLeast)
}

// since drops what was not after a time.
func since(list []sizeAt, after int64) []sizeAt {
	for len(list) > 0 && list[0].at <= after {
		list = list[1:]
	}
	return list
}

func (w *world) metric(m ScaleMetric) float64 {
	total := int64(0)
	for _, g := range w.gateways {
		if m == OutstandingRequests {
			total += int64(g.balancer.QueueLen()) + g.balancer.InFlight()
		} else {
			total += g.balancer.OutstandingTokens()
		}
	}
	return float64(total)
}
