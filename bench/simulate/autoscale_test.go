package simulate

import (
	"slices"
	"testing"
	"time"
)

// TestStabilized holds the autoscaler against the HorizontalPodAutoscaler's algorithm with the defaults of its documentation: each look is a
// time in seconds and what the metric is, and want the sizes after each look, beginning with 4 replicas.
func TestStabilized(t *testing.T) {
	type look struct {
		at    int64
		total float64
	}
	for _, c := range []struct {
		what  string
		a     Autoscale
		begin int
		looks []look
		want  []int
	}{
		{"at its target it stays", Autoscale{Target: 10, Min: 1, Max: 100}, 4, []look{{15, 40}}, []int{4}},
		{"so does it within a tenth above", Autoscale{Target: 10, Min: 1, Max: 100}, 4, []look{{15, 43.9}}, []int{4}},
		{"and below", Autoscale{Target: 10, Min: 1, Max: 100}, 4, []look{{15, 36.1}}, []int{4}},
		{"beyond a tenth it rounds up", Autoscale{Target: 10, Min: 1, Max: 100}, 4, []look{{15, 44.5}}, []int{5}},
		{"below, too", Autoscale{Target: 10, Min: 1, Max: 100}, 4, []look{{15, 20.1}}, []int{3}},
		{"without load it keeps the least", Autoscale{Target: 10, Min: 2, Max: 100}, 4, []look{{15, 0}}, []int{2}},
		{"it never exceeds the most", Autoscale{Target: 10, Min: 1, Max: 6}, 4, []look{{15, 1e300}}, []int{6}},
		{"it adds four where doubling is less", Autoscale{Target: 10, Min: 1, Max: 100}, 3, []look{{15, 1000}}, []int{7}},
		{"and doubles where that is more", Autoscale{Target: 10, Min: 1, Max: 100}, 9, []look{{15, 1000}, {30, 1000}}, []int{18, 36}},
		{"in 15 s, however often it looks", Autoscale{Target: 10, Min: 1, Max: 100}, 4,
			[]look{{15, 1000}, {20, 1000}, {25, 1000}, {30, 1000}}, []int{8, 8, 8, 16}},
		{"what it took away within 15 s it may add again", Autoscale{Target: 10, Min: 1, Max: 100}, 20, []look{{15, 10}, {20, 1000}}, []int{1, 40}},
		{"too few become the least at once", Autoscale{Target: 10, Min: 30, Max: 100}, 2, []look{{15, 5}}, []int{30}},
		{"too many the most", Autoscale{Target: 10, Min: 1, Max: 3, Stabilization: time.Hour}, 8, []look{{15, 80}}, []int{3}},
		{"of nothing it makes the least", Autoscale{Target: 10, Min: 1, Max: 9}, 0, []look{{15, 0}}, []int{1}},
		{"and with load what that needs", Autoscale{Target: 10, Min: 1, Max: 9}, 0, []look{{15, 70}}, []int{7}},
		{"it takes away what it has not wanted for the whole window", Autoscale{Target: 10, Min: 1, Max: 100, Stabilization: time.Minute}, 8,
			[]look{{15, 80}, {30, 20}, {45, 30}, {60, 20}, {75, 20}, {90, 20}, {105, 20}}, []int{8, 8, 8, 8, 3, 3, 2}},
		{"and adds without a delay", Autoscale{Target: 10, Min: 1, Max: 100, Stabilization: time.Minute}, 4, []look{{15, 40}, {30, 75}}, []int{4, 8}},
		{"a window never makes it grow", Autoscale{Target: 10, Min: 1, Max: 100, Stabilization: time.Hour}, 4,
			[]look{{15, 1000}, {16, 10}}, []int{8, 8}},
	} {
		var s scaler
		var got []int
		size := c.begin
		for _, l := range c.looks {
			want := s.stabilized(&c.a, l.at*second, size, l.total)
			if want != size {
				s.changes = append(s.changes, sizeAt{l.at * second, want - size})
			}
			size = want
			got = append(got, size)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: from %d on the sizes are %v, want %v", c.what, c.begin, got, c.want)
		}
	}
}

func TestAutoscalerFollowsTheLoad(t *testing.T) {
	load := even(200, time.Second, 2000, 200)                       // one a second, then
	for i := range even(6000, 20*time.Millisecond, 1, 1).Requests { // 50 a second for two minutes, then
		q := load.Requests[i%200]
		q.At = 200*time.Second + time.Duration(i)*20*time.Millisecond
		load.Requests = append(load.Requests, q)
	}
	for i := range 300 { // one a second again
		q := load.Requests[i%200]
		q.At = 320*time.Second + time.Duration(i)*time.Second
		load.Requests = append(load.Requests, q)
	}
	for metric, target := range map[ScaleMetric]float64{OutstandingRequests: 20, OutstandingTokens: 2000} {
		o := testOptions(t, load, 2, func(o *Options) {
			o.StartTime = 20 * time.Second
			o.Autoscale = &Autoscale{Metric: metric, Target: target, Min: 2, Max: 9, Stabilization: time.Minute}
		})
		w := newTestWorld(t, o)
		check := newConservation(w)
		most := make([]int, 3) // of each part
		least := 2
		for w.step() {
			check.watch()
			part := 0
			if w.now > 200*second {
				part++
			}
			if w.now > 450*second {
				part++
			}
			most[part] = max(most[part], w.ready())
			least = min(least, w.ready())
		}
		r := w.result()
		check.atEnd(t, r)
		if r.Failed+r.Refused > 0 || most[0] != 2 || most[1] < 5 || most[1] > 9 || most[2] != 2 || least != 2 || r.MaxReplicas != most[1] {
			t.Errorf("%s: the most replicas in each part are %v, the least %d; %d requests failed", metric, most, least, r.Failed+r.Refused)
		}
		if fixed := 9 * r.Duration / 3600; r.ReplicaHours > .7*fixed {
			t.Errorf("%s: %v replica hours, where nine fixed ones take %v", metric, r.ReplicaHours, fixed)
		}
	}
}

// TestAutoscalerAndRoll: what a roll takes away for a while is not missing for good.
func TestAutoscalerAndRoll(t *testing.T) {
	w, r := simulate(t, testOptions(t, even(2000, 50*time.Millisecond, 2000, 200), 6, func(o *Options) {
		o.StartTime, o.Changes = 5*time.Second, []Change{{At: 20 * time.Second, Kind: Roll, Count: 3}}
		o.Autoscale = &Autoscale{Metric: OutstandingRequests, Target: 100, Min: 6, Max: 12, Stabilization: time.Hour}
	}))
	if r.MaxReplicas != 6 || w.size() != 6 || len(w.replicas) != 12 {
		t.Errorf("%d replicas were ready at most, and there are %d of %d, want 6 all the time", r.MaxReplicas, w.size(), len(w.replicas))
	}
}

// TestScaleMetrics: requests count from their arrival to their end, and tokens until they are computed, those that wait included.
func TestScaleMetrics(t *testing.T) {
	load := even(200, 10*time.Millisecond, 1000, 20)
	w := newTestWorld(t, testOptions(t, load, 2, func(o *Options) {
		o.Policy, o.Gateways, o.MaxInFlight, o.EstimateError = "least-tokens", 2, 3, 0
	}))
	queued := false
	for w.step() {
		tokens := 0
		for i := range w.arrived {
			if w.outcomes[i].FirstToken == 0 {
				tokens += load.Requests[i].PromptTokens
			}
		}
		if r, n := w.metric(OutstandingRequests), w.metric(OutstandingTokens); r != float64(w.open) || n != float64(tokens) {
			t.Fatalf("at %d the metrics are %v requests and %v tokens, want %d and %d", w.now, r, n, w.open, tokens)
		}
		queued = queued || w.gateways[0].balancer.QueueLen() > 0
	}
	if !queued {
		t.Error("no request has waited")
	}
}
