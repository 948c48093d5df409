package simulate

import (
	"reflect"
	"testing"

	"github.com/penstock/penstock/bench/trace"
)

func TestEqualOptionsGiveEqualResults(t *testing.T) {
	load := trace.PrefixHeavy(60, 1500, 3)
	for _, policy := range PolicyNames() {
		t.Run(policy, func(t *testing.T) {
			t.Parallel()
			run := func(seed uint64) *Result {
				r, err := Run(testOptions(t, load, 6, func(o *Options) {
					eventful(o)
					o.Policy, o.Seed = policy, seed
				}))
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			first := run(1)
			if !reflect.DeepEqual(first, run(1)) {
				t.Error("two runs with the same seed differ")
			}
			if other := run(2); reflect.DeepEqual(first.Outcomes, other.Outcomes) {
				t.Error("runs with two seeds do not differ")
			}
		})
	}
}

func TestParallelRunsChangeNothing(t *testing.T) {
	compare := func(parallel int) []Summary {
		last := 0
		c := Comparison{
			Options:  testOptions(t, nil, 4, nil),
			Load:     func(seed uint64) (*trace.Trace, error) { return trace.PrefixHeavy(30, 400, seed), nil },
			Policies: PolicyNames(), Seeds: 3, Parallel: parallel,
			Progress: func(done, all int) {
				if done != last+1 || all != 3*len(PolicyNames()) {
					t.Errorf("told of run %d of %d after %d", done, all, last)
				}
				last = done
			},
		}
		summaries, err := c.Run(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return summaries
	}
	one, four := compare(1), compare(4)
	if !reflect.DeepEqual(one, four) {
		t.Errorf("one run at a time gives\n%+v\nfour at a time\n%+v", one, four)
	}
	for i, s := range one {
		if s.Policy != PolicyNames()[i] || len(s.Runs) != 3 || s.Runs[0].Seed != 1 || s.Runs[2].Seed != 3 {
			t.Errorf("summary %d is of %s with %d runs", i, s.Policy, len(s.Runs))
		}
	}
}
