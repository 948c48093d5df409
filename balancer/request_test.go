package balancer

import "testing"

// newPrompted returns a balancer with n endpoints, and a request with a prompt that one of them has.
func newPrompted(t *testing.T, n int, tokens int64) (*Balancer, *Endpoint, *Request) {
	t.Helper()
	b := New(leastTokens{})
	b.SetQueue(1)
	b.SetSnapshot(NewSnapshot(pool(n), Options{MaxInFlight: 1}))
	r := &Request{Tokens: tokens}
	e, result := b.Acquire(r)
	if result != Acquired {
		t.Fatal(result)
	}
	return b, e, r
}

func wantTokens(t *testing.T, e *Endpoint, want int64) {
	t.Helper()
	if got := e.PromptTokens(); got != want {
		t.Errorf("%d prompt tokens are outstanding, want %d", got, want)
	}
}

// Tokens count until the answer begins, and not twice less.
func TestTokensCountUntilTheAnswer(t *testing.T) {
	b, e, r := newPrompted(t, 1, 700)
	wantTokens(t, e, 700)
	r.Tokens = 5 // what counts is what was counted
	b.Answered(r)
	wantTokens(t, e, 0)
	b.Answered(r)
	wantTokens(t, e, 0)
	if n := e.InFlight(); n != 1 {
		t.Errorf("%d are in flight after the answer began, want 1", n)
	}
	b.Release(e, r, Done{})
	wantTokens(t, e, 0)
}

func TestTokensCountUntilTheRelease(t *testing.T) {
	b, e, r := newPrompted(t, 1, 700)
	b.Release(e, r, Done{})
	wantTokens(t, e, 0)
	b.Answered(r) // late
	wantTokens(t, e, 0)
	b.Acquire(r)
	wantTokens(t, e, 700)
}

// A request that waited counts from its grant on.
func TestTokensOfAWaiter(t *testing.T) {
	b, e, r := newPrompted(t, 1, 700)
	var g grants
	w := g.waiter("a", 0)
	w.Tokens = 30
	b.Enqueue(w)
	wantTokens(t, e, 700)
	b.Release(e, r, Done{})
	g.want(t, "a")
	wantTokens(t, e, 30)
	b.Release(e, &w.Request, Done{})
	wantTokens(t, e, 0)
}

func TestSenselessTokens(t *testing.T) {
	for tokens, want := range map[int64]int64{-5: 0, 0: 0, 1: 1, 1 << 62: mostTokens} {
		b, e, r := newPrompted(t, 1, tokens)
		wantTokens(t, e, want)
		b.Release(e, r, Done{})
		wantTokens(t, e, 0)
	}
}

// Mistakes of the caller that would leave tokens counted forever are not silent.
func TestLostTokensPanic(t *testing.T) {
	tests := map[string]func(b *Balancer, e *Endpoint, r *Request){
		"BUG: a request that was not released was acquired again, on endpoint 10.0.0.0:8000": func(b *Balancer, e *Endpoint, r *Request) { e.drop(); b.Acquire(r) },
		"BUG: endpoint 10.9.9.9:1 was released for a request that had acquired 10.0.0.0:8000": func(b *Balancer, _ *Endpoint, r *Request) {
			b.Release(NewEndpoint("10.9.9.9:1", nil), r, Done{})
		},
	}
	for want, mistake := range tests {
		b, e, r := newPrompted(t, 1, 700)
		func() {
			defer func() {
				if got := recover(); got != want {
					t.Errorf("panic with %v, want %v", got, want)
				}
			}()
			mistake(b, e, r)
		}()
	}
}

func TestReadsPrompts(t *testing.T) {
	for _, name := range PolicyNames() {
		// A policy that reads prompts picks another endpoint where tokens or keys differ.
		differs := false
		for i := range 200 {
			eps := prompted(9000, 0, 4000, 0)
			eps[0].SetCapacity(4)
			s := NewSnapshot(eps, Options{})
			a, b := request(i), request(i)
			a.Tokens, a.KeyCount = 0, 0
			b.Tokens = 100_000
			differs = differs || mustPolicy(t, name).Pick(s, a) != mustPolicy(t, name).Pick(s, b)
		}
		if differs != ReadsPrompts(name) {
			t.Errorf("%s: ReadsPrompts is %v, and picks differ by prompts: %v", name, ReadsPrompts(name), differs)
		}
	}
}
