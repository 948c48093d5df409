package balancer

import (
	"math"
	"slices"
	"testing"
)

// A request goes back to where its beginning was sent, wherever that was, and owes only what is new.
func TestAutoReturnsToTheBeginning(t *testing.T) {
	a, b, eps := newAutoPool(8)
	distrustOwners(a)
	for conversation := range 200 {
		now := int64(1+conversation) * 100e9
		first := chat(conversation, 5, now)
		e := acquire(t, b, first)
		b.Answered(first)
		second := chat(conversation, 7, now+5e9)
		if got := acquire(t, b, second); got != e {
			t.Fatalf("conversation %d began at %s and went on at %s", conversation, e.Name, got.Name)
		}
		fresh := KeyTokens[7] - KeyTokens[5]
		if second.Owed < fresh || second.Owed > fresh+fresh/10 {
			t.Fatalf("conversation %d owes %d tokens, want little more than the %d that are new", conversation, second.Owed, fresh)
		}
		if owed := e.PromptTokens(); owed != second.Owed {
			t.Fatalf("the endpoint is owed %d tokens, want %d", owed, second.Owed)
		}
		if held := e.HeldTokens(); held != KeyTokens[5]+KeyTokens[7] {
			t.Fatalf("the endpoint holds %d tokens, want all of both prompts", held)
		}
		b.Answered(second)
		b.Release(e, first, Done{Now: now + 6e9})
		b.Release(e, second, Done{Now: now + 6e9})
	}
	if i := slices.IndexFunc(eps, func(e *Endpoint) bool { return e.PromptTokens() != 0 || e.HeldTokens() != 0 }); i >= 0 {
		t.Errorf("endpoint %d still counts tokens", i)
	}
}

// The longest beginning counts, and a cache that has since taken in much else counts less.
func TestAutoPrefersTheBestMatch(t *testing.T) {
	type sent struct {
		endpoint, last int
		since          int64 // tokens that went into its cache afterwards
	}
	blocks := func(n float64) *Signals { return &Signals{Blocks: Reading{n, 1e9}, BlockSize: Reading{16, 1e9}} }
	tests := []struct {
		name    string
		sent    []sent
		signals *Signals
		want    int
	}{
		{"the only one", []sent{{2, 5, 0}}, nil, 2},
		{"the longer one", []sent{{1, 3, 0}, {2, 7, 0}, {3, 5, 0}}, nil, 2},
		{"the longer one, sent first", []sent{{2, 7, 0}, {1, 3, 0}, {3, 5, 0}}, nil, 2},
		{"the longest of one endpoint", []sent{{1, 5, 0}, {2, 3, 0}, {2, 7, 0}, {2, 2, 0}}, nil, 2},
		{"a shorter one rather than an old one", []sent{{1, 7, 1 << 24}, {2, 6, 0}}, nil, 2},
		{"an old one rather than none", []sent{{1, 7, 1 << 24}}, nil, 1},
		{"a large cache remembers", []sent{{1, 7, 1 << 24}, {2, 6, 0}}, blocks(1 << 22), 1},
		{"a small cache forgets soon", []sent{{1, 7, 1 << 15}, {2, 3, 0}}, blocks(1 << 10), 2},
	}
	for _, test := range tests {
		a, b, eps := newAutoPool(8)
		distrustOwners(a)
		for _, e := range eps {
			e.SetSignals(test.signals)
		}
		for _, sent := range test.sent {
			a.index.noteAll(chat(1, sent.last, 1e9), eps[sent.endpoint])
			eps[sent.endpoint].learned.inserted.Add(sent.since)
		}
		if got := slices.Index(eps, a.Pick(b.Snapshot(), chat(1, 7, 1e9))); got != test.want {
			t.Errorf("%s: endpoint %d was picked, want %d", test.name, got, test.want)
		}
	}
}

// What all have in common says nothing on where to go, but saves its tokens everywhere once it was sent anywhere.
func TestSystemPromptAttractsNothing(t *testing.T) {
	_, b, eps := newAutoPool(8)
	counts := make(map[*Endpoint]int)
	now := int64(1e9)
	for i := range 4000 {
		r := plain(i, 5000, now)
		r.System, r.SystemTokens = 77, 4500
		e := acquire(t, b, r)
		if i == 0 && r.Owed != 5000 || i > 0 && r.Owed != 500 {
			t.Fatalf("request %d owes %d tokens", i, r.Owed)
		}
		counts[e]++
		now += 1e8
		b.Release(e, r, Done{Started: r.Now, Now: now})
	}
	wantShares(t, eps, counts, equalShares(len(eps)))
}

// With much to do, an endpoint loses to others what it has cached.
func TestMeltedEndpointLosesItsConversations(t *testing.T) {
	for _, owed := range []int64{0, 2000, 30_000, 200_000} {
		a, b, eps := newAutoPool(8)
		distrustOwners(a)
		a.index.noteAll(chat(1, 9, 1e9), eps[4])
		eps[4].tokens.Store(owed)
		r := chat(1, 9, 1e9)
		if e, stays := a.Pick(b.Snapshot(), r), owed < r.Tokens/2; (e == eps[4]) != stays {
			t.Errorf("with %d tokens owed, a prompt of %d that is cached goes to %s", owed, r.Tokens, e.Name)
		}
	}
}

// Gateways that know nothing of each other send conversations that are new to both to the same endpoints.
func TestGatewaysAgree(t *testing.T) {
	for _, n := range []int{8, 200} {
		here, _, eps := newAutoPool(n)
		there, _, others := newAutoPool(n)
		slices.Reverse(others)
		s, o := NewSnapshot(eps, Options{}), NewSnapshot(others, Options{})
		seePeers(here, 2)
		seePeers(there, 2)
		counts := make(map[*Endpoint]int)
		for i := range 50 * n {
			now := int64(1+i) * 3600e9 // so that nothing is left of the load
			r := chat(i, 6, now)
			e := here.Pick(s, r)
			r.Rand++
			if other := there.Pick(o, r); e.Name != other.Name {
				t.Fatalf("of %d, conversation %d goes to %s here and to %s there", n, i, e.Name, other.Name)
			}
			counts[e]++
		}
		wantShares(t, eps, counts, equalShares(n))
	}
}

// told is the answer to a request that tells how much was cached.
func told(r *Request, cached int64) Done {
	return Done{Told: true, PromptTokens: r.Tokens, CachedTokens: cached, OutputTokens: 1, Now: r.Now}
}

// What is expected of owners and of matches follows what is found there.
func TestAutoLearnsWhatIsCached(t *testing.T) {
	a, b, eps := newAutoPool(4)
	s := b.Snapshot()
	guesses := func(conversation int) (owner, match guess) {
		r := chat(conversation, 9, 1e9)
		var x expected
		x.find(a, s, r, 1)
		owner = x.guess(x.owner)
		a.index.noteAll(r, eps[(x.owner+1)%4])
		x = expected{}
		x.find(a, s, r, 1)
		return owner, x.guess((x.owner + 1) % 4)
	}
	settle := func(conversation, times int, cached float64) {
		for i := range times {
			owner, match := guesses(conversation + i)
			for _, g := range []guess{owner, match} {
				bet := bet{kind: g.kind, asked: float32(g.asked)}
				a.pool.settle(&bet, told(chat(1, 9, 1e9), int64(cached*g.asked)))
			}
		}
	}
	asked := 1_000_000
	want := func(when string, wantOwner, wantMatch float64) {
		t.Helper()
		asked++
		owner, match := guesses(asked)
		if got := owner.tokens / owner.asked; math.Abs(got-wantOwner) > .1 {
			t.Errorf("%s, owners are believed to have %.2f of a prompt, want %.2f", when, got, wantOwner)
		}
		if got := match.tokens / match.asked; math.Abs(got-wantMatch) > .1 {
			t.Errorf("%s, matches are believed to have %.2f, want %.2f", when, got, wantMatch)
		}
	}
	want("at first", ownerHope, 1)
	settle(0, toldEnough/4, 0)
	want("when nobody tells", ownerHope, 1)
	settle(1000, toldEnough, 0)
	want("when nobody tells for long", ownerUntold, 1)
	settle(2000, 500, .7)
	want("when 0.7 of them are found", .7, .7)
	settle(3000, 500, 0)
	want("when nothing is found any more", .18, 0) // what was believed at first keeps a weight
	settle(4000, 500, 1)
	want("when all is found", .99, .99)
}

// Where there are peers, owners are not given up: else gateways that once missed each other's prompts would never find them again.
func TestOwnersAreNotGivenUp(t *testing.T) {
	a, b, _ := newAutoPool(4)
	distrustOwners(a)
	a.pool.found.add(9e9, 1e10, 1)
	for _, test := range []struct {
		peers float64
		least bool
	}{{1, false}, {2, true}} {
		var x expected
		x.find(a, b.Snapshot(), chat(1, 9, 1e9), test.peers)
		if g := x.guess(x.owner); (g.tokens > g.asked/2) != test.least {
			t.Errorf("with %v peers the owner is believed to have %.0f of %.0f tokens", test.peers, g.tokens, g.asked)
		}
	}
}

// Guesses are within the prompt, whatever requests claim.
func TestGuessesAreWithinThePrompt(t *testing.T) {
	a, b, eps := newAutoPool(4)
	s := b.Snapshot()
	a.index.noteAll(&Request{System: 5}, eps[0])
	claims := []int64{math.MinInt64, -1, 0, 1, 5000, mostTokens, math.MaxInt64}
	for _, tokens := range claims {
		for _, system := range claims {
			r := chat(3, PrefixKeys-1, 1e9)
			r.System, r.SystemTokens, r.Tokens = 5, system, tokens
			a.index.noteAll(r, eps[1])
			var x expected
			x.find(a, s, r, 2)
			for i := range eps {
				if g := x.guess(i); !(g.tokens >= 0 && g.tokens <= float64(min(max(tokens, 0), mostTokens)) && g.asked >= 0) {
					t.Errorf("%d tokens, %d of them the system prompt's: guess %+v", tokens, system, g)
				}
			}
		}
	}
}
