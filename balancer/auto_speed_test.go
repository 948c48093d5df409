package balancer

import (
	"slices"
	"testing"
)

// Speeds come to be known from what streamed answers say, in whatever order.
func TestAutoLearnsSpeeds(t *testing.T) {
	a, _, eps := newAutoPool(3)
	prefill, decode := []float64{1.0 / 40_000, 1.0 / 5000, 0}, []float64{.008, .05, 0}
	now := int64(1e9)
	for i := range 600 {
		k := i % 2
		e, tokens, output := eps[k], 1000+int64(i%7)*500, 20+int64(i%50)
		now += 20e9 // so that it is idle
		d := Done{Started: now, Streamed: true, Told: true, PromptTokens: tokens, OutputTokens: output}
		d.FirstToken = now + int64((frontEnd+float64(tokens)*prefill[k])*1e9)
		d.Now = d.FirstToken + int64(decode[k]*1e9)*(output-1)
		a.Done(e, &Request{Owed: tokens}, d)
	}
	for k := range 2 {
		wantClose(t, "the time of a prompt's token", eps[k].learned.prefill.value(0), prefill[k], .02)
		wantClose(t, "the time of an answer's token", eps[k].learned.decode.value(0), decode[k], .02)
	}
	if rate := a.pool.rateOf(eps[2]); rate < prefill[0]/1.1 || rate > prefill[1]*1.1 {
		t.Errorf("an endpoint of which nothing is known is believed to take %v s for a token", rate)
	}
}

// What tells nothing of speeds changes none.
func TestAutoLearnsOnlyFromWhatTells(t *testing.T) {
	base := Done{Started: 1e9, FirstToken: 2e9, Now: 9e9, Streamed: true, Told: true, PromptTokens: 9000, OutputTokens: 100}
	for name, change := range map[string]func(r *Request, d *Done){
		"not streamed":                 func(_ *Request, d *Done) { d.Streamed = false },
		"failed":                       func(_ *Request, d *Done) { d.Failed = true },
		"turned away":                  func(_ *Request, d *Done) { d.Busy = true },
		"no token came":                func(_ *Request, d *Done) { d.FirstToken = 0 },
		"a short prompt and answer":    func(r *Request, d *Done) { r.Owed, d.OutputTokens = 20, 3 },
		"times that make no sense":     func(r *Request, d *Done) { d.FirstToken, d.OutputTokens = d.Started-5, 0 },
		"before the front end is done": func(r *Request, d *Done) { d.FirstToken, d.OutputTokens = d.Started+1e6, 0 },
	} {
		a, _, eps := newAutoPool(1)
		r, d := &Request{Owed: 9000}, base
		change(r, &d)
		a.Done(eps[0], r, d)
		if eps[0].learned.prefill.word.Load() != 0 || eps[0].learned.decode.word.Load() != 0 || a.pool.prefill.word.Load() != 0 {
			t.Errorf("%s: something was learned", name)
		}
	}
}

// Endpoints that are alike stay so while their speeds are learned, at any load: none is left out for what its first answers seemed to say.
func TestAutoLearnsEquals(t *testing.T) {
	for _, n := range []int{4, 16} {
		for _, load := range []float64{.05, .3, .7} {
			for _, tokens := range []int64{1000, 4000} {
				_, b, eps := newAutoPool(n)
				w := newWorld(t, b, eps, 1.0/15000)
				counts := make(map[*Endpoint]int)
				for i := range 200 * n {
					counts[w.send(plain(i, tokens, 0), int64(float64(tokens)*1e9/15000/load)/int64(n))]++
				}
				for i, e := range eps {
					if counts[e] < 140 || counts[e] > 260 {
						t.Errorf("of %d with prompts of %d tokens at a load of %v, endpoint %d had %d requests, want about 200", n, tokens, load, i, counts[e])
					}
				}
			}
		}
	}
}

// An endpoint that is three times as fast comes to have three times as much to do, where there is so much to do that it is needed; where there
// is less, more of it, as nobody waits there.
func TestFastEndpointsHaveTheirShare(t *testing.T) {
	for _, test := range []struct{ load, from, to float64 }{{.5, 4, 1e9}, {.95, 2.8, 6}, {1, 2.6, 3.5}} {
		_, b, eps := newAutoPool(4)
		w := newWorld(t, b, eps, 1.0/30_000, 1.0/10_000)
		gap := int64(4000 / (80_000 * test.load) * 1e9)
		for i := range 4000 {
			if i == 1000 {
				clear(w.computed)
				w.waits = nil
			}
			w.send(plain(i, 2000+int64(nextRandom(uint64(i))%4000), 0), gap)
		}
		fast, slow := w.computed[eps[0]]+w.computed[eps[2]], w.computed[eps[1]]+w.computed[eps[3]]
		if ratio := float64(fast) / float64(max(slow, 1)); ratio < test.from || ratio > test.to {
			t.Errorf("at a load of %v, fast endpoints computed %.2f times what slow ones did, want %v to %v", test.load, ratio, test.from, test.to)
		}
		slices.Sort(w.waits)
		if p99 := w.waits[len(w.waits)*99/100]; test.load < 1 && p99 > 3e9 {
			t.Errorf("at a load of %v, one in a hundred waits for %v s and more", test.load, float64(p99)/1e9)
		}
	}
}
