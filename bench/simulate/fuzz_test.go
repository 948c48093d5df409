package simulate

import (
	"math/rand/v2"
	"reflect"
	"testing"
	"time"

	"github.com/penstock/penstock/bench/engine"
	"github.com/penstock/penstock/bench/trace"
)

// randomOptions are small, and contrary where they can be.
func randomOptions(t testing.TB, seed uint64) Options {
	random := rand.New(rand.NewPCG(seed, 0))
	upTo := func(d time.Duration) time.Duration {
		if random.IntN(5) == 0 {
			return 0
		}
		return time.Duration(random.Int64N(int64(d)))
	}
	load := randomLoad(random)
	o := testOptions(t, load, 1+random.IntN(6), nil)
	o.Policy = PolicyNames()[random.IntN(len(PolicyNames()))]
	o.Seed, o.Gateways = random.Uint64(), 1+random.IntN(4)
	o.PollInterval, o.PollLoss = time.Millisecond+upTo(3*time.Second), random.Float64()
	o.Network, o.EstimateError = upTo(20*time.Millisecond), random.Float64()
	o.MaxInFlight, o.QueueSize, o.QueueTimeout = random.IntN(20), random.IntN(50), upTo(5*time.Second)
	o.SlowStart, o.Detection, o.StartTime = upTo(5*time.Second), upTo(3*time.Second), upTo(5*time.Second)
	p := &o.Fleet[0].Engine.Profile
	p.KVTokens, p.MaxSequences = 1000+random.IntN(40_000), 1+random.IntN(64)
	p.MaxBatchedTokens = p.MaxSequences + random.IntN(4000)
	if random.IntN(2) == 0 {
		o.Fleet = append(o.Fleet, Group{Engine: engine.Config{Profile: testProfile(t)}, Replicas: 1 + random.IntN(3)})
	}
	replicas := 0
	for _, g := range o.Fleet {
		replicas += g.Replicas
	}
	for range random.IntN(8) {
		kind := []ChangeKind{Kill, Drain, Add, Roll}[random.IntN(4)]
		o.Changes = append(o.Changes, Change{At: upTo(load.Duration() + 1), Kind: kind, Replica: random.IntN(replicas), Count: 1 + random.IntN(4)})
	}
	if random.IntN(2) == 0 {
		least := 1 + random.IntN(4)
		o.Autoscale = &Autoscale{
			Metric: OutstandingRequests, Target: 1 + 5000*random.Float64()*random.Float64(),
			Min: least, Max: least + random.IntN(10), Interval: time.Millisecond + upTo(4*time.Second), Stabilization: upTo(10 * time.Second),
		}
		if random.IntN(2) == 0 && readsPrompts(o.Policy) {
			o.Autoscale.Metric = OutstandingTokens
		}
	}
	return o
}

// randomLoad is up to 300 requests that come within some seconds, many at the same time, some of which share beginnings.
func randomLoad(random *rand.Rand) *trace.Trace {
	load := &trace.Trace{Name: "random", BlockTokens: []int{1, 16, 64, 512}[random.IntN(4)]}
	for range 1 + random.IntN(300) {
		q := trace.Request{PromptTokens: 1 + random.IntN(3000), OutputTokens: 1 + random.IntN(60), Session: random.Uint64N(9)}
		if n := len(load.Requests); n > 0 {
			q.At = load.Requests[n-1].At
		}
		if random.IntN(3) > 0 {
			q.At += time.Duration(random.ExpFloat64() * float64(50*time.Millisecond))
		}
		q.SystemTokens = random.IntN(1 + min(q.PromptTokens, 600))
		q.Blocks = beginning(random.IntN(8), random.IntN(1+(q.PromptTokens+q.OutputTokens)/load.BlockTokens))
		load.Requests = append(load.Requests, q)
	}
	return load
}

func checkRandom(t testing.TB, seed uint64) *Result {
	o := randomOptions(t, seed)
	_, r := simulate(t, o)
	if again, err := Run(o); err != nil || !reflect.DeepEqual(r, again) {
		t.Fatalf("seed %d: two runs differ (%v)", seed, err)
	}
	return r
}

func TestRandomOptions(t *testing.T) {
	all := make(map[Ending]int)
	for seed := range uint64(60) {
		for how, n := range endings(checkRandom(t, seed)) {
			all[how] += n
		}
	}
	// The check means little if nothing goes wrong.
	if all[Completed] < 2000 || all[Failed] < 100 || all[QueueFull] < 100 || all[QueueTimeout] < 100 {
		t.Errorf("requests ended %v", all)
	}
}

func FuzzOptions(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { checkRandom(t, seed) })
}
