package balancer

import (
	"math"
	"slices"
	"testing"
)

// While nothing is late, the least wait wins. Once all are, long prompts gather where the others are late already.
func TestLateRequestsGather(t *testing.T) {
	tests := []struct {
		name   string
		owed   []int64 // 75,000 tokens are the 5 s of the objective
		prompt int64
		want   []int
	}{
		{"nothing is late, a short prompt", []int64{20_000, 10_000, 25_000, 15_000}, 100, []int{1}},
		{"nothing is late, a long prompt", []int64{20_000, 10_000, 25_000, 15_000}, 40_000, []int{1}},
		{"all are late, a short prompt", []int64{100_000, 105_000, 300_000, 110_000}, 100, []int{0, 1, 3}},
		{"all are late, a longer prompt", []int64{100_000, 105_000, 300_000, 110_000}, 2000, []int{0, 1, 3}},
		{"all are late, a long prompt", []int64{100_000, 105_000, 300_000, 110_000}, 60_000, []int{2}},
	}
	for _, test := range tests {
		a, b, eps := newAutoPool(len(test.owed))
		for i, e := range eps {
			e.tokens.Store(test.owed[i])
			e.learned.sent.add(float64(test.owed[i]), 1e9)
			e.inFlight.Store(5)
		}
		if got := slices.Index(eps, a.Pick(b.Snapshot(), plain(1, test.prompt, 1e9))); !slices.Contains(test.want, got) {
			t.Errorf("%s: endpoint %d was picked, want one of %v", test.name, got, test.want)
		}
	}
}

// A beginning that all prompts share loads no endpoint beyond some factor of the mean: while nothing is late, an endpoint is chosen for what
// it has cached only as long as no more stands before it than that saves. Of larger pools the index knows indexWays endpoints that have it.
func TestHotBeginningIsSpread(t *testing.T) {
	for _, test := range []struct {
		n      int
		load   float64 // of what the pool can compute, the hot beginning left out
		factor float64
	}{{4, .3, 1.3}, {8, .3, 1.3}, {8, .6, 1.3}, {8, .9, 1.3}, {16, .6, 2}, {16, .9, 1.5}} {
		_, b, eps := newAutoPool(test.n)
		w := newWorld(t, b, eps, 1.0/15000)
		const fresh = 2000 // mean
		gap := int64(fresh * 1e9 / (15000 * float64(test.n) * test.load))
		saved := KeyTokens[9]
		for i := range 3000 {
			r := chat(1, 9, 0)
			r.Rand = nextRandom(uint64(i))
			r.Tokens += fresh/2 + int64(r.Rand%fresh)
			e := w.send(r, gap)
			least := int64(math.MaxInt64)
			for _, other := range eps {
				least = min(least, other.PromptTokens())
			}
			// Twice, as endpoints may be believed to differ in speed.
			if owed := e.PromptTokens() - r.Owed; test.n <= indexWays && owed > 2*(least+saved) {
				t.Fatalf("of %d, an endpoint was picked that is owed %d tokens, while another is owed %d and %d would be saved", test.n, owed, least, saved)
			}
		}
		most, sum := int64(0), int64(0)
		for _, e := range eps {
			most, sum = max(most, w.computed[e]), sum+w.computed[e]
		}
		if factor := float64(most) * float64(test.n) / float64(sum); factor > test.factor {
			t.Errorf("of %d at a load of %v, one endpoint computed %.2f times the mean, want at most %v", test.n, test.load, factor, test.factor)
		}
	}
}

// Without prompts all that is left is requests in flight.
func TestAutoWithoutPrompts(t *testing.T) {
	a, b, eps := newAutoPool(5)
	for i, n := range []int64{5, 3, 2, 4, 9} {
		eps[i].inFlight.Store(n)
	}
	for i := range 50 {
		if e := a.Pick(b.Snapshot(), plain(i, 0, 1e9)); e != eps[2] {
			t.Fatalf("%s was picked, want the one with the least in flight", e.Name)
		}
	}
	for _, n := range []int{3, readWhole, 200} {
		_, b, eps := newAutoPool(n)
		for i := range 50 * n {
			acquire(t, b, plain(i, 0, 1e9))
		}
		for i, e := range eps {
			if e.InFlight() < 48 || e.InFlight() > 52 {
				t.Errorf("endpoint %d of %d has %d in flight, want about 50", i, n, e.InFlight())
			}
		}
	}
}

// A newcomer has its share of requests while its slow start lasts: in flight of a busy pool, and of the picks of an idle one.
func TestAutoSlowStart(t *testing.T) {
	const length = 1e15 // so that the share stays what it is
	for _, share := range []float64{.1, .2, .6} {
		for _, tokens := range []int64{0, 500} {
			newPool := func() (*Balancer, []*Endpoint) {
				_, b, eps := newAutoPool(4)
				eps[0].SetStartedAt(0, length)
				b.SetSnapshot(NewSnapshot(eps, Options{}))
				return b, eps
			}
			now := int64((share - rampFloor) / (1 - rampFloor) * length)
			b, eps := newPool()
			for i := range 160 {
				acquire(t, b, plain(i, tokens, now))
			}
			if ratio := float64(eps[0].InFlight()) / float64(eps[1].InFlight()); math.Abs(ratio-share) > .1 {
				t.Errorf("with a share of %v and %d tokens each, the newcomer has %d in flight and another %d", share, tokens, eps[0].InFlight(), eps[1].InFlight())
			}
			if tokens > 0 {
				continue
			}
			b, eps = newPool()
			counts := make(map[*Endpoint]int)
			for i := range 20_000 {
				r := plain(i, tokens, now)
				e := acquire(t, b, r)
				counts[e]++
				b.Release(e, r, Done{Now: now})
			}
			others := float64(counts[eps[1]]+counts[eps[2]]+counts[eps[3]]) / 3
			newcomer := others * share * 3 / (4 - share) // it is one of four equals with a chance of share, and else none of three
			for i, want := range []float64{newcomer, others, others, others} {
				if got := float64(counts[eps[i]]); math.Abs(got-want) > .15*want {
					t.Errorf("with a share of %v of an idle pool, endpoint %d was picked %.0f times, want about %.0f", share, i, got, want)
				}
			}
		}
	}
}

// Endpoints that fail a request or turn one away look busy for a while.
func TestAutoAvoidsWhatFailed(t *testing.T) {
	for _, d := range []Done{{Failed: true}, {Busy: true}} {
		a, b, eps := newAutoPool(4)
		d.Now = 1e9
		a.Done(eps[1], &Request{}, d)
		shares := func(after int64) map[*Endpoint]int {
			counts := make(map[*Endpoint]int)
			now := d.Now + after
			for i := range 400 {
				r := plain(i, 500, now)
				e := acquire(t, b, r)
				counts[e]++
				now += 2e7
				b.Release(e, r, Done{Now: now})
			}
			return counts
		}
		soon := shares(0)
		if most := map[bool]int{true: 20, false: 95}[d.Failed]; soon[eps[1]] > most {
			t.Errorf("%+v: of the next 400 requests it had %d, want %d at most", d, soon[eps[1]], most)
		}
		wantShares(t, eps, shares(120e9), equalShares(4))
	}
}

// polled are signals of so many requests, as read at a time.
func polled(requests, own, at int64) *Signals {
	return &Signals{Running: Reading{float64(requests), at}, Waiting: Reading{0, at}, InFlight: own}
}

// What polls say of other gateways' requests counts where there are others, and fades into what all endpoints have.
func TestForeignRequestsFade(t *testing.T) {
	const at = int64(100e9)
	for _, test := range []struct {
		name     string
		s        *Signals
		peers    float64
		age      int64
		mean     float64
		from, to float64
	}{
		{"no polls", nil, 3, 0, 10, 0, 0},
		{"none was read", &Signals{InFlight: 5}, 3, 0, 10, 0, 0},
		{"no peers", polled(40, 10, at), 1, 0, 10, 0, 0},
		{"fresh", polled(40, 10, at), 3, 0, 10, 30, 30},
		{"a while ago", polled(40, 10, at), 3, foreignFade, 10, 16, 20},
		{"long ago", polled(40, 10, at), 3, 3600e9, 10, 9.9, 10.1},
		{"read later than the request came", polled(40, 10, at), 3, -1e9, 10, 30, 30},
		{"all are its own", polled(40, 45, at), 3, 0, 10, 0, 0},
		{"absurdly many", &Signals{Running: Reading{math.MaxFloat64, at}, Waiting: Reading{math.MaxFloat64, at}}, 3, 0, 10, 1000, 1e9},
	} {
		a := newAuto(Objectives{}).(*auto)
		a.pool.meanRequests.add(test.mean*1e6, 1e6, 1)
		c := autoCost{a: a, r: &Request{Now: at + test.age}, peers: test.peers}
		if got := c.foreign(test.s); !(got >= test.from-1e-3 && got <= test.to+1e-3) {
			t.Errorf("%s: %v requests of others, want %v to %v", test.name, got, test.from, test.to)
		}
	}
}

// Prompts that other gateways send keep this one's away; where there are no others, what an endpoint computes is this one's own.
func TestForeignTokensKeepAway(t *testing.T) {
	for _, test := range []struct {
		peers float64
		age   int64
		away  bool
	}{{1, 0, false}, {3, 0, true}, {3, 3600e9, false}} {
		a, b, eps := newAutoPool(4)
		seePeers(a, test.peers)
		busy := func(tokens float64) *Signals {
			return &Signals{PrefixQueries: Reading{tokens, 1e9}, PrefixHits: Reading{0, 1e9}}
		}
		for i, e := range eps {
			e.SetSignals(busy([]float64{0, 0, 12_000, 0}[i]))
			e.inFlight.Store([]int64{1, 1, 0, 1}[i])
		}
		if e := a.Pick(b.Snapshot(), plain(1, 3000, 1e9+test.age)); (e != eps[2]) != test.away {
			t.Errorf("with %v peers and a poll of %d s ago, %s was picked", test.peers, test.age/1e9, e.Name)
		}
	}
}

// Signals that never came, are gone, have failed or are old leave the gateway's own counts to decide.
func TestAutoWithoutSignals(t *testing.T) {
	for name, s := range map[string]*Signals{
		"none": nil, "failed": {Failure: "no route"}, "old": polled(50, 3, 1), "empty": {},
	} {
		a, b, eps := newAutoPool(4)
		for i, e := range eps {
			e.SetSignals(polled(5, 2, 1e9))
			e.SetSignals(s)
			e.tokens.Store([]int64{9000, 4000, 1000, 5000}[i])
			e.inFlight.Store(2)
		}
		for i := range 100 {
			if e := a.Pick(b.Snapshot(), plain(i, 300, 5000e9)); e != eps[2] && i < 5 {
				t.Errorf("%s: %s was picked, want the least busy", name, e.Name)
			}
		}
		if peers := a.pool.peers(); peers != 1 {
			t.Errorf("%s: there seem to be %v peers, want none", name, peers)
		}
	}
}

func TestPeersAreBounded(t *testing.T) {
	a, b, eps := newAutoPool(2)
	for _, e := range eps {
		e.SetSignals(polled(math.MaxInt64, 0, 1e9))
	}
	for i := range 2000 {
		e := a.Pick(b.Snapshot(), plain(i, 300, 1e9))
		if cost := e.LastCost(); math.IsNaN(cost) || math.IsInf(cost, 0) {
			t.Fatalf("the cost is %v", cost)
		}
	}
	if peers := a.pool.peers(); peers != mostPeers {
		t.Errorf("there seem to be %v peers, want %d", peers, mostPeers)
	}
}

// A prompt that an endpoint's KV cache has no room for goes to one that has, unless that has much more to do.
func TestAutoMindsTheKVCache(t *testing.T) {
	for _, test := range []struct {
		name   string
		blocks float64
		held   int64 // of the first; the second has 3000 tokens to compute
		want   int
	}{
		{"room", 10_000, 50_000, 0},
		{"no room", 10_000, 155_000, 1},
		{"not known", 0, 155_000, 0},
		{"no room, but soon", 10_000, 150_100, 0},
	} {
		a, b, eps := newAutoPool(2)
		for _, e := range eps {
			if test.blocks > 0 {
				e.SetSignals(&Signals{Blocks: Reading{test.blocks, 1e9}, BlockSize: Reading{16, 1e9}})
			}
		}
		eps[0].held.Store(test.held)
		eps[1].tokens.Store(3000)
		if got := slices.Index(eps, a.Pick(b.Snapshot(), plain(1, 2000, 1e9))); got != test.want {
			t.Errorf("%s: endpoint %d was picked, want %d", test.name, got, test.want)
		}
	}
}

// An adapter that is loaded saves the time that it takes to load it.
func TestAutoGoesWhereTheAdapterIs(t *testing.T) {
	names := func(most int, names ...string) *Signals {
		return &Signals{Adapters: NewAdapters(names, nil, most, 1e9)}
	}
	for _, test := range []struct {
		name    string
		adapter string
		signals [2]*Signals
		owed    int64 // of the second, 15,000 a second
		want    int
	}{
		{"none is wanted", "", [2]*Signals{names(2, "b"), names(2, "a")}, 3000, 0},
		{"loaded", "a", [2]*Signals{names(2, "b"), names(2, "a")}, 3000, 1},
		{"about to be", "a", [2]*Signals{names(2, "b"), {Adapters: NewAdapters(nil, []string{"a"}, 2, 1e9)}}, 3000, 1},
		{"loaded, but busy", "a", [2]*Signals{names(2, "b"), names(2, "a")}, 12_000, 0},
		{"another would have to go", "a", [2]*Signals{names(1, "b"), names(1, "a")}, 12_000, 1},
		{"a model that is no adapter", "base", [2]*Signals{names(2, "b"), names(2, "a")}, 3000, 0},
		{"no adapters are served", "a", [2]*Signals{names(0), names(0, "a")}, 3000, 0},
		{"nobody knows", "a", [2]*Signals{nil, {}}, 3000, 0},
	} {
		a, b, eps := newAutoPool(2)
		for i, e := range eps {
			e.SetSignals(test.signals[i])
			a.pool.sample(e, 1e9)
		}
		eps[1].tokens.Store(test.owed)
		r := plain(1, 300, 1e9)
		if test.adapter != "" {
			r.Adapter = AdapterHash([]byte(test.adapter))
		}
		if got := slices.Index(eps, a.Pick(b.Snapshot(), r)); got != test.want {
			t.Errorf("%s: endpoint %d was picked, want %d", test.name, got, test.want)
		}
	}
}
