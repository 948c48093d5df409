package simulate

import (
	"testing"
	"time"

	"github.com/penstock/penstock/bench/trace"
)

// at lets the world go on until a time, which it has not reached then.
func (w *world) at(now time.Duration) {
	for at, _ := w.next(); at < int64(now); at, _ = w.next() {
		if !w.step() {
			return
		}
	}
}

// runningOn is the requests that a replica has.
func (w *world) runningOn(r *replica) map[int]bool {
	running := make(map[int]bool)
	for i, f := range w.flights {
		if f != nil && f.replica == r {
			running[i] = true
		}
	}
	return running
}

func TestKilledReplicaLosesWhatItHas(t *testing.T) {
	const dies = 5 * time.Second
	o := testOptions(t, trace.NoReuse(30, 400, 1), 4, func(o *Options) {
		o.Policy, o.Gateways, o.Network, o.Detection = "least-outstanding", 2, 5*time.Millisecond, time.Second
		o.StartTime, o.Changes = 2*time.Second, []Change{{At: dies, Kind: Kill, Replica: 1}}
	})
	w := newTestWorld(t, o)
	check := newConservation(w)
	check.watch()
	w.at(dies)
	lost := w.runningOn(w.replicas[1])
	refusals := 0
	for w.step() {
		check.watch()
		for f := range w.flightOf {
			if len(f.Tried) > 0 {
				refusals++
			}
		}
	}
	r := w.result()
	check.atEnd(t, r)
	if len(lost) == 0 || refusals == 0 {
		t.Errorf("%d requests were running there, %d were refused", len(lost), refusals)
	}
	for i := range r.Outcomes {
		if o := &r.Outcomes[i]; (o.Ending == Failed) != lost[i] || o.Ending != Failed && o.Ending != Completed {
			t.Errorf("request %d ended as %d; it was on the replica that died: %v", i, o.Ending, lost[i])
		} else if lost[i] && o.Ended != int64(dies+w.o.Network) {
			t.Errorf("request %d failed at %d, want when it was known", i, o.Ended)
		}
	}
	if len(w.replicas) != 5 || w.ready() != 4 || w.replicas[4].madeAt != int64(dies) {
		t.Errorf("%d replicas were made and %d are ready, want one more in place of the dead one", len(w.replicas), w.ready())
	}
}

// TestNobodyListens: while no gateway knows that all replicas but one are dead, requests are sent three times at most.
func TestNobodyListens(t *testing.T) {
	w, r := simulate(t, testOptions(t, even(100, 50*time.Millisecond, 100, 2), 4, func(o *Options) {
		o.Policy, o.Network, o.Detection, o.StartTime = "round-robin", 2*time.Millisecond, 2*time.Second, time.Hour
		o.SlowStart, o.QueueTimeout = 0, 500*time.Millisecond
		for i := range o.Fleet[0].Replicas {
			o.Changes = append(o.Changes, Change{At: time.Second, Kind: Kill, Replica: i})
		}
	}))
	for i := range r.Outcomes {
		o := &r.Outcomes[i]
		took := time.Duration(o.Ended - o.Arrived)
		switch at := time.Duration(o.Arrived); {
		case at < 900*time.Millisecond:
			if o.Ending != Completed {
				t.Errorf("the request at %v ended as %d", at, o.Ending)
			}
		case at > time.Second && at < 2900*time.Millisecond:
			if o.Ending != Failed || took != 2*maxAttempts*w.o.Network {
				t.Errorf("the request at %v ended as %d after %v, want to fail after three attempts", at, o.Ending, took)
			}
		case at > 3*time.Second:
			if o.Ending != QueueTimeout || took != w.o.QueueTimeout {
				t.Errorf("the request at %v ended as %d after %v, want to find nobody in time", at, o.Ending, took)
			}
		}
	}
}

func TestDrainLosesNothing(t *testing.T) {
	o := testOptions(t, trace.NoReuse(20, 400, 1), 4, func(o *Options) {
		o.Changes = []Change{{At: 5 * time.Second, Kind: Drain, Replica: 2}}
	})
	w := newTestWorld(t, o)
	check := newConservation(w)
	check.watch()
	w.at(5*time.Second + 1)
	r2 := w.replicas[2]
	if n := len(w.runningOn(r2)); r2.state != replicaDraining || n == 0 {
		t.Errorf("the replica is in state %d with %d requests", r2.state, n)
	}
	for w.step() {
		check.watch()
	}
	r := w.result()
	check.atEnd(t, r)
	if r.Failed+r.Refused > 0 || r2.state != replicaDead || len(w.replicas) != 4 {
		t.Errorf("%d requests failed and %d were refused, the replica is in state %d", r.Failed, r.Refused, r2.state)
	}
	last := int64(0)
	for i := range r.Outcomes {
		if o := &r.Outcomes[i]; o.Replica == 2 {
			last = max(last, o.Ended)
			if o.Arrived > 5*second {
				t.Errorf("the request at %d went to the replica that drains", o.Arrived)
			}
		}
	}
	if r2.stopAt != last {
		t.Errorf("the replica stops at %d, its last request ends at %d", r2.stopAt, last)
	}
}

func TestRollLosesNothing(t *testing.T) {
	o := testOptions(t, trace.NoReuse(20, 1500, 1), 5, func(o *Options) {
		o.StartTime, o.Changes = 3*time.Second, []Change{{At: 5 * time.Second, Kind: Roll, Count: 2}}
	})
	w := newTestWorld(t, o)
	check := newConservation(w)
	least := 5
	for w.step() {
		check.watch()
		least = min(least, w.ready())
	}
	r := w.result()
	check.atEnd(t, r)
	if r.Failed+r.Refused > 0 || least != 3 || w.ready() != 5 || len(w.replicas) != 10 {
		t.Errorf("%d requests failed, %d were refused; %d replicas were ready at least, of %d there are %d",
			r.Failed, r.Refused, least, len(w.replicas), w.ready())
	}
	served := make([]int, len(w.replicas))
	for i := range r.Outcomes {
		served[r.Outcomes[i].Replica]++
	}
	for i, n := range served {
		if old := i < 5; n == 0 || old != (w.replicas[i].state == replicaDead) {
			t.Errorf("replica %d has served %d requests and is in state %d", i, n, w.replicas[i].state)
		}
	}
}

// TestRollGoesOnWithFewer: a roll is not held up by replicas that the autoscaler has taken away meanwhile.
func TestRollGoesOnWithFewer(t *testing.T) {
	w, _ := simulate(t, testOptions(t, even(120, time.Second, 500, 20), 6, func(o *Options) {
		o.StartTime, o.Changes = 2*time.Second, []Change{{At: 4 * time.Second, Kind: Roll, Count: 1}}
		o.Autoscale = &Autoscale{Metric: OutstandingRequests, Target: 100, Min: 2, Max: 6, Interval: 6 * time.Second}
	}))
	for _, r := range w.replicas[:6] {
		if r.state != replicaDead {
			t.Errorf("replica %d was neither replaced nor taken away", r.number)
		}
	}
	if n := w.ready(); n != 2 {
		t.Errorf("%d replicas are ready at the end, want the least", n)
	}
}

func TestDrainingReplicaThatDiesIsNotReplaced(t *testing.T) {
	load := even(10, 100*time.Millisecond, 1000, 400)
	for kind, successors := range map[ChangeKind]int{Drain: 0, Roll: 1} {
		w, r := simulate(t, testOptions(t, load, 3, func(o *Options) {
			o.Policy, o.StartTime = "round-robin", time.Second
			o.Changes = []Change{{At: 2 * time.Second, Kind: kind, Count: 1}, {At: 3 * time.Second, Kind: Kill}}
		}))
		made := 0
		for _, p := range w.replicas {
			if p.madeAt == 3*second {
				made++
			}
		}
		if r.Failed == 0 || made != successors {
			t.Errorf("%s: %d requests failed and %d replicas were made, want %d", kind, r.Failed, made, successors)
		}
	}
}

func TestReplicasStopAtTheBeginning(t *testing.T) {
	_, r := simulate(t, testOptions(t, even(10, time.Second, 100, 2), 2, func(o *Options) {
		o.Changes = []Change{{Kind: Drain, Replica: 0}}
	}))
	if want := r.Duration / 3600; r.ReplicaHours < .999*want || r.ReplicaHours > 1.001*want {
		t.Errorf("%v replica hours, want those of one replica: %v", r.ReplicaHours, want)
	}
}

func TestQueueLimits(t *testing.T) {
	// One request takes longer than the queue's timeout.
	load := even(10, 0, 20_000, 200)
	w, r := simulate(t, testOptions(t, load, 2, func(o *Options) {
		o.MaxInFlight, o.QueueSize, o.QueueTimeout = 1, 3, time.Second
	}))
	if n := endings(r); n[Completed] != 2 || n[QueueTimeout] != 3 || n[QueueFull] != 5 || r.Refused != 8 {
		t.Errorf("requests ended %v, %d were refused", n, r.Refused)
	}
	for i := range r.Outcomes {
		switch o, took := &r.Outcomes[i], time.Duration(r.Outcomes[i].Ended-r.Outcomes[i].Arrived); {
		case i < 2 && o.Ending != Completed, i >= 2 && i < 5 && o.Ending != QueueTimeout, i >= 5 && o.Ending != QueueFull:
			t.Errorf("request %d ended as %d", i, o.Ending)
		case o.Ending == QueueTimeout && took != w.o.QueueTimeout, o.Ending == QueueFull && took != 0:
			t.Errorf("request %d was refused after %v", i, took)
		}
	}
}

func TestQueueWithoutPatience(t *testing.T) {
	_, r := simulate(t, testOptions(t, even(3, 0, 20_000, 200), 1, func(o *Options) {
		o.MaxInFlight, o.QueueSize, o.QueueTimeout = 1, 1, 0
	}))
	if n := endings(r); n[Completed] != 1 || n[QueueTimeout] != 1 || n[QueueFull] != 1 {
		t.Errorf("requests ended %v", n)
	}
}

func TestQueueIsServedInOrder(t *testing.T) {
	_, r := simulate(t, testOptions(t, even(50, time.Millisecond, 2000, 30), 2, func(o *Options) {
		o.MaxInFlight, o.QueueTimeout = 1, time.Hour
	}))
	for i := 1; i < len(r.Outcomes); i++ {
		if r.Outcomes[i].FirstToken < r.Outcomes[i-1].FirstToken {
			t.Errorf("request %d was served before the one that came before it", i)
		}
	}
}

// newcomerShare is the share of the requests of two seconds that go to a replica which joined four others, by the time since it was ready.
func newcomerShare(t *testing.T, policy string, slow time.Duration) func(since time.Duration) float64 {
	const ready = 10 * time.Second
	_, r := simulate(t, testOptions(t, even(8000, 5*time.Millisecond, 300, 10), 4, func(o *Options) {
		o.Policy, o.SlowStart, o.StartTime, o.Changes = policy, slow, 0, []Change{{At: ready, Kind: Add, Count: 1}}
	}))
	return func(since time.Duration) float64 {
		all, newcomer := 0, 0
		for i := range r.Outcomes {
			if o := &r.Outcomes[i]; o.Arrived >= int64(ready+since) && o.Arrived < int64(ready+since+2*time.Second) {
				all++
				if o.Replica == 4 {
					newcomer++
				}
			}
		}
		return float64(newcomer) / float64(all)
	}
}

func TestSlowStart(t *testing.T) {
	for _, policy := range []string{"random", "round-robin", "least-outstanding", "auto"} {
		slow, quick := newcomerShare(t, policy, 20*time.Second), newcomerShare(t, policy, 0)
		if s := slow(0); s > .15 {
			t.Errorf("%s: the newcomer gets %.2f at first, want much less than a fifth", policy, s)
		}
		for what, s := range map[string]float64{"when its slow start is over": slow(25 * time.Second), "at once without one": quick(0)} {
			if s < .15 || s > .3 {
				t.Errorf("%s: the newcomer gets %.2f %s, want about a fifth", policy, s, what)
			}
		}
	}
}

// TestSlowStartNeedsOthers: where nobody takes the load meanwhile, a ramp would only hold all back alike.
func TestSlowStartNeedsOthers(t *testing.T) {
	o := testOptions(t, even(100, 100*time.Millisecond, 300, 10), 1, func(o *Options) {
		o.StartTime, o.Detection = time.Second, 100*time.Millisecond
		o.Changes = []Change{{At: time.Second, Kind: Kill}, {At: 4 * time.Second, Kind: Add, Count: 1}}
	})
	w := newTestWorld(t, o)
	w.at(8 * time.Second)
	for i, want := range []int64{0, 5 * second} { // of the replacement, and of the one that was added
		if e := w.gateways[0].endpoints[w.replicas[1+i]]; e == nil || e.StartedAt() != want {
			t.Errorf("replica %d starts slowly from %d on, want %d", 1+i, e.StartedAt(), want)
		}
	}
}

// TestDeadReplicaIsTakenForReady until it is noticed, whatever else changes meanwhile.
func TestDeadReplicaIsTakenForReady(t *testing.T) {
	o := testOptions(t, even(100, 100*time.Millisecond, 300, 10), 2, func(o *Options) {
		o.Detection, o.StartTime = 4*time.Second, time.Second
		o.Changes = []Change{{At: time.Second, Kind: Kill}, {At: 2500 * time.Millisecond, Kind: Drain, Replica: 1}}
	})
	w := newTestWorld(t, o)
	for at, want := range []int{2, 2, 3, 2, 2, 1, 1} { // each second: killed, replaced, the other one drained, noticed
		w.at(time.Duration(at)*time.Second + time.Millisecond)
		if n := w.gateways[0].balancer.Snapshot().Len(); n != want {
			t.Errorf("after %d s the gateway takes %d replicas for ready, want %d", at, n, want)
		}
	}
}
