package simulate

import (
	"cmp"
	"math"
	"slices"
	"testing"
	"time"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/bench/engine"
	"github.com/penstock/penstock/bench/trace"
)

// prompts is a load that comes at once: requests with so many blocks of 16 tokens, named so.
func prompts(of ...[]uint64) *trace.Trace {
	load := &trace.Trace{Name: "prompts", BlockTokens: 16}
	for _, blocks := range of {
		load.Requests = append(load.Requests, trace.Request{PromptTokens: 16*len(blocks) + 1, OutputTokens: 8, Blocks: blocks})
	}
	return load
}

// same is n equal prompts of so many blocks.
func same(n, blocks int) *trace.Trace {
	all := make([][]uint64, n)
	for i := range all {
		all[i] = beginning(1, blocks)
	}
	return prompts(all...)
}

// rivalWorld is a world whose requests go to a rival's choice one by one.
func rivalWorld(t *testing.T, policy string, load *trace.Trace, replicas int) *world {
	return newTestWorld(t, testOptions(t, load, replicas, func(o *Options) { o.Policy, o.PollInterval = policy, 0 }))
}

// send lets the next request come, and returns the number of the replica that it goes to. Nothing else happens.
func (w *world) send() int {
	i := w.arrived
	w.arrive()
	return int(w.outcomes[i].Replica)
}

// TestBoundedLoadIsBounded: the first endpoint on the ring takes all requests of a key, but none that has more than 1.25 times the mean with them.
func TestBoundedLoadIsBounded(t *testing.T) {
	const n = 8
	w := rivalWorld(t, "rival-bounded-load", same(400, 20), n)
	order := ringOrder(w, mix(described(w, 0).Keys[0]))
	load := make([]float64, n)
	for total := 0.0; total < 400; total++ {
		want := 0
		for load[order[want]] > ringLoadFactor*(total+1)/n {
			want++
		}
		at := w.send()
		if at != order[want] {
			t.Fatalf("with loads of %v in all a request goes to %d, want %d; the ring has them in the order %v", load, at, order[want], order)
		}
		load[at]++
	}
	if load[order[n-2]] == 0 {
		t.Errorf("loads are %v, want some to have gone far around the ring %v", load, order)
	}
}

func described(w *world, index int) *balancer.Request {
	r := new(balancer.Request)
	w.describe(r, index)
	return r
}

// ringOrder is the replicas in the order in which the ring has them from a key on.
func ringOrder(w *world, key uint64) []int {
	distance := make([]uint64, len(w.replicas))
	var order []int
	for i, r := range w.replicas {
		order = append(order, i)
		distance[i] = math.MaxUint64
		for k := range uint64(ringReplication) {
			distance[i] = min(distance[i], mix(balancer.HashString(r.name)+k*0x9e3779b97f4a7c15)-key)
		}
	}
	slices.SortFunc(order, func(a, b int) int { return cmp.Compare(distance[a], distance[b]) })
	return order
}

func TestBoundedLoadKeepsKeysApart(t *testing.T) {
	const keys = 400
	load := prompts()
	for i := range 2 * keys {
		load.Requests = append(load.Requests, prompts(beginning(i%keys, 20)).Requests...)
	}
	for i := range load.Requests {
		load.Requests[i].At = time.Duration(i) * time.Second // so that each finds all idle
	}
	w := rivalWorld(t, "rival-bounded-load", load, 10)
	w.run()
	used := make(map[int]int)
	for i := range keys {
		at := int(w.outcomes[i].Replica)
		used[at]++
		if again := int(w.outcomes[keys+i].Replica); again != at {
			t.Errorf("key %d goes to %d and then to %d", i, at, again)
		}
	}
	for at, n := range used {
		if n > 2*keys/10 {
			t.Errorf("endpoint %d owns %d of %d keys", at, n, keys)
		}
	}
	if len(used) != 10 {
		t.Errorf("only %d endpoints own keys", len(used))
	}
}

// TestSGLangSwitchesWhenUnbalanced: requests follow their prefix until one endpoint has 65 more than the other and more than 1.5 times as many,
// and then go to the other one. From then on both have seen the prefix.
func TestSGLangSwitchesWhenUnbalanced(t *testing.T) {
	w := rivalWorld(t, "rival-sglang", same(400, 20), 2)
	home := w.send()
	var load [2]int
	load[home]++
	switched := 0
	for range 399 {
		most, least := max(load[0], load[1]), min(load[0], load[1])
		unbalanced := most-least > 64 && float64(most) > 1.5*float64(least)
		at := w.send()
		if unbalanced && load[at] != least || !unbalanced && switched == 0 && at != home {
			t.Fatalf("with loads of %v a request goes to %d", load, at)
		}
		if unbalanced {
			switched++
		}
		load[at]++
	}
	if switched == 0 {
		t.Errorf("loads are %v, and were never unbalanced", load)
	}
}

// TestSGLangPrefersTheSmallestTree for what it has seen 0.3 or less of.
func TestSGLangPrefersTheSmallestTree(t *testing.T) {
	begin := beginning(1, 100)
	with := func(shared, other int) []uint64 {
		return append(begin[:shared:shared], beginning(2, 100)[shared:other]...)
	}
	w := rivalWorld(t, "rival-sglang", prompts(begin, with(29, 100), with(40, 100), with(100, 100)), 2)
	home := w.send()
	for i, want := range []int{1 - home, home, home} { // a third of 100 blocks is 30
		if got := w.send(); got != want {
			t.Errorf("prompt %d goes to %d, want %d", i+1, got, want)
		}
	}
}

// occupy has a replica run requests of its own: one runs and the others wait.
func occupy(t *testing.T, r *replica, requests int) {
	t.Helper()
	for i := range requests {
		if err := r.engine.Submit(0, engine.Request{ID: uint64(1000 + i), PromptTokens: 2000, MaxTokens: 10}); err != nil {
			t.Fatal(err)
		}
	}
	r.engine.Step(r.engine.Next())
}

// TestLLMDNormalises: one request that waits weighs as much as a hundred, as queues are measured between the shortest and the longest. It weighs
// less than a whole prefix, and more than half of one.
func TestLLMDNormalises(t *testing.T) {
	one := func(o *Options) {
		o.Policy, o.PollInterval = "rival-llm-d", 0
		o.Fleet[0].Engine.MaxSequences = 1
	}
	load := prompts(beginning(1, 40), beginning(1, 40), append(beginning(1, 40), beginning(2, 80)[40:]...))
	for _, waiting := range []int{1, 100} {
		w := newTestWorld(t, testOptions(t, load, 2, one))
		home := w.send() // read before anybody waits
		occupy(t, w.replicas[home], 1+waiting)
		if n := w.replicas[home].engine.Stats().Waiting; n != waiting {
			t.Fatalf("%d requests wait, want %d", n, waiting)
		}
		w.now += int64(llmdRefresh)
		if got := w.send(); got != home {
			t.Errorf("with %d waiting, a prompt that was seen whole goes elsewhere", waiting)
		}
		if got := w.send(); got == home {
			t.Errorf("with %d waiting, a prompt of which half was seen goes there", waiting)
		}
	}
}

// TestLLMDReadsLate: loads are as they were at the last reading, 50 ms ago at most.
func TestLLMDReadsLate(t *testing.T) {
	other := func(i int) []uint64 { return beginning(i, 40) }
	w := rivalWorld(t, "rival-llm-d", prompts(other(1), other(2), other(3), other(4)), 2)
	w.send()
	p := w.gateways[0]
	for range 2 { // all that comes before the next reading takes both for idle
		w.now += int64(llmdRefresh) / 4
		w.send()
	}
	busy := w.replicas[0]
	busy.engine = newEngine(t, 1)
	occupy(t, busy, 5)
	w.now += int64(llmdRefresh)
	if got := w.send(); got != 1 {
		t.Errorf("after the reading a request goes to %s, where five wait", p.w.replicas[got].name)
	}
}

func newEngine(t *testing.T, sequences int) *engine.Engine {
	t.Helper()
	p := testProfile(t)
	p.MaxSequences = sequences
	e, err := engine.New(engine.Config{Profile: p})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestDynamoCounts: the cost is the prompt's blocks that are not cached, plus those that wait and those in use there.
func TestDynamoCounts(t *testing.T) {
	load := prompts(beginning(1, 10), beginning(1, 12), beginning(1, 12), beginning(1, 12), beginning(2, 30))
	for i := range load.Requests {
		load.Requests[i].At = time.Minute * time.Duration(min(i, 1)) // the first one ends before the others come
	}
	w := newTestWorld(t, testOptions(t, load, 2, func(o *Options) {
		o.Policy, o.PollInterval, o.EstimateError = "rival-dynamo", 0, 0
	}))
	w.at(time.Minute)
	w.now = int64(time.Minute)
	home := int(w.outcomes[0].Replica)
	policy := func(e *balancer.Endpoint) float64 { return float64(e.PromptTokens()) / 16 }
	costs := func(prompt float64) (costs [2]float64) {
		for _, r := range w.replicas {
			e := w.gateways[0].endpoints[r]
			cached := float64(r.engine.PrefixLength(load.Requests[w.arrived].Blocks))
			costs[r.number] = prompt - cached + policy(e) + float64(e.HeldTokens())/16
		}
		return costs
	}
	for i, want := range []int{home, 1 - home, home, 1 - home} { // 2.1, then 16.2 against 12.1, 16.2 against 36.1, 34.2 + 30 against 42.3
		c := costs(float64(load.Requests[w.arrived].PromptTokens) / 16)
		if got := w.send(); c[got] > c[1-got] || i < 3 && got != want {
			t.Errorf("request %d goes to %d where costs are %v, want %d", i+1, got, c, want)
		}
	}
}

// TestDynamoForgets what has ended, however it did.
func TestDynamoForgets(t *testing.T) {
	load := trace.PrefixHeavy(60, 1000, 1)
	o := testOptions(t, load, 6, func(o *Options) {
		eventful(o)
		o.Policy = "rival-dynamo"
		o.Autoscale = nil
	})
	o.Fleet[0].Engine.KVTokens = 12_000 // some are too long
	var made []*overlap
	w := newTestWorld(t, o)
	for _, g := range w.gateways {
		p, err := rivals["rival-dynamo"](g)
		if err != nil {
			t.Fatal(err)
		}
		g.balancer.SetPolicy(p)
		made = append(made, p.(*overlap))
	}
	w.run()
	if r := w.result(); r.Failed < 10 {
		t.Errorf("only %d requests have failed", r.Failed)
	}
	for _, p := range made {
		for e, tokens := range p.active {
			if tokens != 0 {
				t.Errorf("%d tokens are left of %s", tokens, e.Name)
			}
		}
	}
}

// TestRivalsSeeWhoWaited: what is granted from the queue is picked by its own prompt, not by that of who came last.
func TestRivalsSeeWhoWaited(t *testing.T) {
	const kinds = 4
	load := &trace.Trace{Name: "four prompts", BlockTokens: 16}
	for i := range 400 {
		load.Requests = append(load.Requests, trace.Request{
			At: time.Duration(i) * 5 * time.Millisecond, PromptTokens: 1601, OutputTokens: 20, Blocks: beginning(i%kinds, 100),
		})
	}
	var seen []*trace.Request
	w := newTestWorld(t, testOptions(t, load, kinds, func(o *Options) { o.MaxInFlight, o.Policy, o.QueueTimeout = 1, "rival-sglang", time.Hour }))
	w.gateways[0].balancer.SetPolicy(&witness{rival{w.gateways[0]}, &seen})
	queued := 0
	for w.step() {
		queued = max(queued, w.gateways[0].balancer.QueueLen())
	}
	if len(seen) != 400 || queued < 50 {
		t.Fatalf("%d requests were picked for, %d have waited at most", len(seen), queued)
	}
	for i, q := range seen {
		if q != &load.Requests[i] {
			t.Fatalf("pick %d is for another request", i)
		}
	}
}

// witness is a rival that notes what it is asked for.
type witness struct {
	rival
	seen *[]*trace.Request
}

func (p *witness) Pick(s *balancer.Snapshot, r *balancer.Request) *balancer.Endpoint {
	highest := best{request: r}
	candidates(s, r, func(e *balancer.Endpoint) { highest.offer(e, 0) })
	if highest.chosen != nil {
		*p.seen = append(*p.seen, p.request(r))
	}
	return highest.chosen
}

// TestEqualScoresAreEquallyLikely: among the best any is chosen, not the first.
func TestEqualScoresAreEquallyLikely(t *testing.T) {
	const n, draws = 7, 70_000
	endpoints := make([]*balancer.Endpoint, n)
	for i := range endpoints {
		endpoints[i] = balancer.NewEndpoint(string(rune('a'+i)), i)
	}
	counts := make([]int, n)
	for i := range draws {
		highest := best{request: &balancer.Request{Rand: mix(uint64(i))}}
		for _, e := range endpoints {
			highest.offer(e, 1)
		}
		counts[highest.chosen.Data.(int)]++
	}
	for i, c := range counts {
		if math.Abs(float64(c)-draws/n) > 5*math.Sqrt(draws/n) {
			t.Errorf("endpoint %d is chosen %d times of %d", i, c, draws)
		}
	}
}

// TestRivalsFindRoom: like every policy they choose an endpoint with room if there is one, and avoid those that failed the request.
func TestRivalsFindRoom(t *testing.T) {
	for name := range rivals {
		w := newTestWorld(t, testOptions(t, same(40, 20), 3, func(o *Options) { o.Policy, o.MaxInFlight = name, 5 }))
		load := make([]int, 3)
		for range 15 {
			load[w.send()]++
		}
		w.send()
		if load[0] != 5 || load[1] != 5 || load[2] != 5 || w.gateways[0].balancer.QueueLen() != 1 {
			t.Errorf("%s: loads are %v, %d requests wait", name, load, w.gateways[0].balancer.QueueLen())
		}

		w = rivalWorld(t, name, same(40, 20), 3)
		f := w.takeFlight()
		f.gateway = w.gateways[0]
		s := f.gateway.balancer.Snapshot()
		w.describe(&f.waiter.Request, 0)
		f.waiter.Tried = []*balancer.Endpoint{s.At(0), s.At(2)}
		if e, _ := f.gateway.balancer.Acquire(&f.waiter.Request); e != s.At(1) {
			t.Errorf("%s: a request goes where it has failed already", name)
		}
	}
}

func TestBlockIndexForgets(t *testing.T) {
	x := newBlockIndex(100)
	e := balancer.NewEndpoint("a", nil)
	for i := range 5 {
		x.insert(e, beginning(i, 20))
	}
	x.insert(e, beginning(0, 20)) // is used again
	x.insert(e, beginning(9, 30))
	for i, want := range []int{20, 0, 10, 20, 20} { // 30 of the oldest are forgotten, the deepest first
		if got := x.match(e, beginning(i, 20)); got != want {
			t.Errorf("%d blocks of beginning %d are known, want %d", got, i, want)
		}
	}
	if x.size(e) != 100 || x.match(e, beginning(9, 40)) != 30 || x.match(e, beginning(7, 1)) != 0 {
		t.Errorf("%d blocks are known", x.size(e))
	}
}
