package simulate

import (
	"fmt"
	"math"
	"time"
)

// Autoscale is Kubernetes's HorizontalPodAutoscaler (algorithm and defaults as its documentation says): it wants
// ceil(metric/Target) replicas, does nothing within a tenth of the target, at most doubles the fleet or adds four every 15 s, and takes
// away only what it has not wanted for the whole of Stabilization.
type Autoscale struct {
	// Metric is what is divided by Target, summed over all gateways.
	Metric ScaleMetric
	// Target is how much of it one replica is to have.
	Target float64
	// Min and Max bound the number of replicas.
	Min, Max int
	// Interval is the time between two looks; 0 is 15 s.
	Interval time.Duration
	// Stabilization is how far back the highest wish counts before replicas are taken away.
	Stabilization time.Duration
}

// ScaleMetric names what Autoscale goes by.
type ScaleMetric string

const (
	// OutstandingRequests is requests in flight or queued (penstock_outstanding_requests).
	OutstandingRequests ScaleMetric = "requests"
	// OutstandingTokens is prompt tokens that were sent and not answered yet (penstock_outstanding_tokens).
	OutstandingTokens ScaleMetric = "tokens"
)

const (
	scaleInterval  = 15 * time.Second
	scaleTolerance = .1
)

func (a *Autoscale) validate() error {
	switch {
	case a == nil:
		return nil
	case a.Metric != OutstandingRequests && a.Metric != OutstandingTokens:
		return fmt.Errorf("cannot scale by %q: want %s or %s", a.Metric, OutstandingRequests, OutstandingTokens)
	case !(a.Target > 0) || math.IsInf(a.Target, 1):
		return fmt.Errorf("cannot scale to a target of %v per replica: want a positive number", a.Target)
	case a.Min < 1 || a.Max < a.Min || a.Max > maxReplicas:
		return fmt.Errorf("cannot scale between %d and %d replicas: want at least 1, and at most %d", a.Min, a.Max, maxReplicas)
	case a.Interval < 0 || a.Stabilization < 0:
		return fmt.Errorf("cannot scale with an interval of %v and a stabilization of %v: want no negative times", a.Interval, a.Stabilization)
	}
	return nil
}

// scaler is the autoscaler's state.
type scaler struct {
	wishes []wish // within the stabilization window
}

type wish struct {
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
	alive := w.alive()
	want := s.stabilized(w, a, alive)
	for ; alive < want; alive++ {
		w.start(&w.o.Fleet[0], w.o.StartTime)
	}
	for i := len(w.replicas) - 1; i >= 0 && alive > want; i-- { // the youngest go first, as those that are not ready yet do
		if r := w.replicas[i]; r.state == replicaReady || r.state == replicaStarting {
			w.drain(r, false)
			alive--
		}
	}
}

func (s *scaler) stabilized(w *world, a *Autoscale, alive int) int {
	want := alive
	if ready := w.ready(); ready > 0 {
		total := w.metric(a.Metric)
		if ratio := total / (a.Target * float64(ready)); math.Abs(ratio-1) > scaleTolerance {
			want = int(math.Ceil(total / a.Target))
		}
	}
	want = min(max(want, a.Min), a.Max, max(2*alive, alive+4))
	s.wishes = append(s.wishes, wish{w.now, want})
	for s.wishes[0].at < w.now-int64(a.Stabilization) {
		s.wishes = s.wishes[1:]
	}
	if want < alive {
		for _, before := range s.wishes {
			want = max(want, min(before.replicas, alive))
		}
	}
	return want
}

// alive is how many replicas are ready or will be.
func (w *world) alive() int {
	n := 0
	for _, r := range w.replicas {
		if r.state == replicaReady || r.state == replicaStarting {
			n++
		}
	}
	return n
}

func (w *world) metric(m ScaleMetric) float64 {
	total := 0.0
	for _, g := range w.gateways {
		if m == OutstandingRequests {
			total += float64(g.balancer.QueueLen()) + float64(g.balancer.InFlight())
			continue
		}
		s := g.balancer.Snapshot()
		for i := range s.Len() {
			total += float64(s.At(i).PromptTokens())
		}
	}
	return total
}
