package dispatch

import (
	"fmt"
	"testing"
	"testing/synctest"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/gateway/openai"
)

// prompt returns one of so many tokens that begins as all with that key do.
func prompt(tokens int64, key uint64) openai.Prompt {
	p := openai.Prompt{Tokens: tokens, KeyCount: openai.PromptKeys}
	for i := range p.Keys {
		p.Keys[i] = key + uint64(i)
	}
	return p
}

// admitPrompt returns an exchange that has captured an endpoint for a prompt.
func (f *fixture) admitPrompt(p openai.Prompt) *Exchange {
	f.t.Helper()
	x := f.begin()
	x.Prompt = p
	if reply := x.Admit(); reply != nil {
		f.t.Fatalf("Admit refuses: %s", reply.Message)
	}
	return x
}

func wantTokens(t testing.TB, e *Endpoint, want int64) {
	t.Helper()
	if got := e.Balancer.PromptTokens(); got != want {
		t.Errorf("%s has %d prompt tokens outstanding, want %d", e.Address, got, want)
	}
}

func TestWantsPrompt(t *testing.T) {
	for _, policy := range balancer.PolicyNames() {
		more := "balance: " + policy + "\n"
		if policy == "session" {
			more += "session: {clientIP: true}\n"
		}
		f := newFixture(t, onePool(1, ""))
		if !f.Pool("llama").WantsPrompt() {
			t.Error("the default policy wants no prompts")
		}
		f.apply(onePool(1, more))
		if want := balancer.ReadsPrompts(policy); f.Pool("llama").WantsPrompt() != want {
			t.Errorf("%s wants prompts: %v, want %v", policy, !want, want)
		}
	}
}

// The keys that are made stand for the tokens that the balancer takes them for.
func TestKeysAreThoseOfTheBalancer(t *testing.T) {
	for i, n := range openai.PromptKeyBytes {
		if want := 4 * balancer.KeyTokens[i]; n != want {
			t.Errorf("key %d stands for %d bytes, want %d: 4 for each of %d tokens", i, n, want, balancer.KeyTokens[i])
		}
	}
}

// What is found out of a prompt comes to the policy, a client's own key in the place of the first.
func TestPromptReachesThePolicy(t *testing.T) {
	f := newFixture(t, onePool(1, "balance: prefix\n"))
	p := prompt(700, 1)
	p.System, p.SystemTokens = 99, 40
	for _, cacheKey := range []uint64{0, 5} {
		p.CacheKey = cacheKey
		x := f.admitPrompt(p)
		r := &x.admission.waiter.Request
		want := p.Keys
		if cacheKey != 0 {
			want[0] = cacheKey
		}
		if r.Tokens != 700 || r.System != 99 || r.SystemTokens != 40 || r.KeyCount != balancer.PrefixKeys || r.Keys != want {
			t.Errorf("of %+v the policy got %d tokens, the system %d of %d, and %d keys %v", p, r.Tokens, r.System, r.SystemTokens, r.KeyCount, r.Keys)
		}
		complete(x, 200)
	}
}

// A prompt's tokens count from the capture to the first byte of the answer's body, not to that of its head.
func TestPromptTokensCount(t *testing.T) {
	f := newFixture(t, onePool(1, "balance: least-tokens\n"))
	e := f.endpoint("llama", "10.0.0.1:8000")
	x, y := f.admitPrompt(prompt(700, 1)), f.admitPrompt(prompt(30, 2))
	wantTokens(t, e, 730)
	x.FirstByte()
	wantTokens(t, e, 730)
	x.Answered(Now())
	x.Answered(Now())
	wantTokens(t, e, 30)
	complete(x, 200)
	x.Answered(Now()) // late
	wantTokens(t, e, 30)
	y.Finish(ClientGone)
	wantTokens(t, e, 0)
}

// A retry takes the tokens along.
func TestPromptTokensOfARetry(t *testing.T) {
	f := newFixture(t, onePool(2, "balance: prefix\n"))
	x := f.admitPrompt(prompt(700, 1))
	first := x.Endpoint
	if reply := x.Retry(ConnectFailed, true); reply != nil {
		t.Fatal(reply.Message)
	}
	if x.Endpoint == first {
		t.Fatal("the retry went to the endpoint that had failed")
	}
	wantTokens(t, first, 0)
	wantTokens(t, x.Endpoint, 700)
	second := x.Endpoint
	complete(x, 200)
	wantTokens(t, second, 0)
}

// A request that is granted its place when its client has left leaves no tokens behind.
func TestPromptTokensOfAWaiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, onePool(1, "balance: least-tokens\nmaxInFlight: 1\nqueue: {size: 2, timeout: 9s}\n"))
		e := f.endpoint("llama", "10.0.0.1:8000")
		holder, waiter, leaver := f.admitPrompt(prompt(700, 1)), f.begin(), f.begin()
		waiter.Prompt, leaver.Prompt = prompt(30, 2), prompt(5, 3)
		waiting := admitLater(waiter)
		synctest.Wait()
		leaving := admitLater(leaver)
		synctest.Wait()
		wantTokens(t, e, 700)
		complete(holder, 200)
		if reply := <-waiting; reply != nil {
			t.Fatal(reply.Message)
		}
		wantTokens(t, e, 30)
		leaver.admission.left.Store(true) // Cancel has begun, and has not come to the queue yet
		complete(waiter, 200)
		if reply := <-leaving; reply != ClientLeft {
			t.Fatalf("the request of a client that left was answered with %v", reply)
		}
		leaver.Finish(ClientGone)
		wantTokens(t, e, 0)
		if n := f.Pool("llama").Outstanding(); n != 0 {
			t.Errorf("%d are outstanding, want none", n)
		}
	})
}

func TestPromptsThatBeginAlikeShareAnEndpoint(t *testing.T) {
	f := newFixture(t, onePool(8, "balance: prefix\n"))
	of := func(p openai.Prompt) string {
		x := f.admitPrompt(p)
		address := x.Endpoint.Address
		complete(x, 200)
		return address
	}
	used := make(map[string]bool)
	for key := range uint64(64) {
		address := of(prompt(700, 1000*key))
		used[address] = true
		if again := of(prompt(9000, 1000*key)); again != address {
			t.Fatalf("prompts with the key %d went to %s and to %s", key, address, again)
		}
	}
	if len(used) != 8 {
		t.Errorf("64 keys use %d of 8 endpoints, want all", len(used))
	}
	hinted := prompt(700, 1)
	hinted.CacheKey = 5
	address := of(hinted)
	for key := range uint64(32) {
		p := prompt(700, 1000*key)
		p.CacheKey = 5
		if key%2 == 0 {
			p.KeyCount = 0
		}
		if got := of(p); got != address {
			t.Fatalf("prompts with the same prompt_cache_key went to %s and to %s", address, got)
		}
	}
}

// Pools whose policy does not look at prompts count none.
func TestPromptsThatNobodyWants(t *testing.T) {
	f := newFixture(t, onePool(1, "balance: least-outstanding\n"))
	x := f.admitPrompt(prompt(700, 1))
	wantTokens(t, x.Endpoint, 0)
	x.Answered(Now())
	// A reload in between neither counts what was not counted nor forgets what was.
	f.apply(onePool(1, "balance: least-tokens\n"))
	y := f.admitPrompt(prompt(30, 1))
	wantTokens(t, y.Endpoint, 30)
	e := y.Endpoint
	f.apply(onePool(1, ""))
	complete(x, 200)
	wantTokens(t, e, 30)
	complete(y, 200)
	wantTokens(t, e, 0)
}

func TestTripWithPromptAllocatesNothing(t *testing.T) {
	for _, policy := range []string{"least-tokens", "prefix"} {
		f := newFixture(t, onePool(8, "maxInFlight: 64\nbalance: "+policy+"\n"), silent)
		x := &Exchange{}
		if n := testing.AllocsPerRun(1000, func() { f.promptTrip(x, prompt(700, 1)) }); n != 0 {
			t.Errorf("%s: a request allocates %v times on its way; want 0", policy, n)
		}
	}
}

// promptTrip is trip for a request with a prompt.
func (f *fixture) promptTrip(x *Exchange, p openai.Prompt) {
	x.Reset(f.Dispatcher)
	x.Started = Now()
	x.Request.Method, x.Request.Path = methodPOST, pathCompletions
	if action, _ := x.Match(); action != Forward {
		f.t.Fatal("the request is not forwarded")
	}
	x.Prompt = p
	if x.Admit() != nil {
		f.t.Fatal("the request is refused")
	}
	x.FirstByte()
	x.Answered(Now())
	x.Status = 200
	x.Finish(Completed)
}

func BenchmarkPromptTrip(b *testing.B) {
	for _, policy := range []string{"least-tokens", "prefix"} {
		for _, n := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/endpoints=%d", policy, n), func(b *testing.B) {
				f := newFixture(b, onePool(n, "balance: "+policy+"\n"), silent)
				x, p := &Exchange{}, prompt(700, 1)
				b.ReportAllocs()
				for i := uint64(0); b.Loop(); i++ {
					p.Keys[0] = i
					f.promptTrip(x, p)
				}
			})
		}
	}
}
