package simulate

import (
	"testing"
	"time"

	"github.com/penstock/penstock/bench/trace"
)

// eventful has everything happen to a fleet that can.
func eventful(o *Options) {
	o.Gateways, o.MaxInFlight, o.QueueSize, o.QueueTimeout = 3, 12, 40, 2*time.Second
	o.PollInterval, o.PollLoss = time.Second, .1
	o.StartTime, o.SlowStart, o.Detection = 5*time.Second, 10*time.Second, 2*time.Second
	o.Changes = []Change{
		{At: 4 * time.Second, Kind: Kill, Replica: 1},
		{At: 6 * time.Second, Kind: Drain, Replica: 2},
		{At: 6*time.Second + 50*time.Millisecond, Kind: Kill, Replica: 2},
		{At: 8 * time.Second, Kind: Add, Count: 2},
		{At: 10 * time.Second, Kind: Roll, Count: 2},
		{At: 20 * time.Second, Kind: Kill, Replica: 1}, // is dead already
		{At: 21 * time.Second, Kind: Kill, Replica: 4},
	}
	o.Autoscale = &Autoscale{Metric: OutstandingRequests, Target: 8, Min: 3, Max: 12, Interval: 5 * time.Second, Stabilization: 10 * time.Second}
}

func TestNothingGetsLost(t *testing.T) {
	loads := []*trace.Trace{trace.PrefixHeavy(90, 3000, 1), trace.NoReuse(90, 3000, 1)}
	for _, policy := range PolicyNames() {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			for _, load := range loads {
				_, r := simulate(t, testOptions(t, load, 6, func(o *Options) {
					eventful(o)
					o.Policy = policy
				}))
				// The check means little where nothing happens.
				if n := endings(r); n[Completed] < 1000 || n[Failed] < 5 || n[QueueTimeout]+n[QueueFull] < 5 {
					t.Errorf("%s: requests ended %v", load.Name, n)
				}
			}
		})
	}
}

func TestRequestsThatAreTooLongFail(t *testing.T) {
	for _, policy := range PolicyNames() {
		load := even(40, 20*time.Millisecond, 1000, 10)
		load.Requests[3].PromptTokens = 400_000
		load.Requests[9].PromptTokens = 500_000
		w, r := simulate(t, testOptions(t, load, 2, func(o *Options) { o.Policy, o.Objectives = policy, Objectives{TTFT: time.Hour} }))
		if r.Failed != 1 || r.Outcomes[9].Ending != Failed || r.Outcomes[9].Ended-r.Outcomes[9].Arrived != 2*int64(w.o.Network) {
			t.Errorf("%s: %d requests failed, the longest: %+v", policy, r.Failed, r.Outcomes[9])
		}
	}
}
