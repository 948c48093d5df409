package dispatch

import (
	"encoding/json"
	"math"
	"strings"
	"testing"

	"github.com/penstock/penstock/balancer"
)

// Why an endpoint was chosen can be seen, where the policy compares costs.
func TestDescribeTellsTheLastCost(t *testing.T) {
	f := newFixture(t, onePool(2, "balance: least-tokens\n"))
	p := f.Pool("llama")
	text := func() string {
		t.Helper()
		b, err := json.Marshal(p.Describe())
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	complete(f.admit(), 200)
	if s := text(); strings.Contains(s, "lastCostMs") {
		t.Errorf("a policy without costs is described as %s", s)
	}
	policy, err := balancer.NewPolicy("auto", balancer.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	p.balancer.SetPolicy(policy)
	x := f.begin()
	x.admission.settings = p.settings.Load()
	x.Prompt = prompt(5000, 1)
	x.admission.tellPrompt(&x.Prompt)
	if x.acquire(Now()) != balancer.Acquired {
		t.Fatal("no endpoint is to be had")
	}
	complete(x, 200)
	costs := 0
	for _, e := range p.Describe().Endpoints {
		if e.LastCostMs != 0 {
			costs++
			if want := e.LastCostMs / 1e3; math.Abs(f.endpoint("llama", e.Address).Balancer.LastCost()-want) > 1e-6 {
				t.Errorf("%s cost %v ms, want %v s", e.Address, e.LastCostMs, want)
			}
		}
	}
	if costs == 0 || !strings.Contains(text(), `"lastCostMs":`) {
		t.Errorf("no cost is described: %s", text())
	}
	if milliseconds(math.NaN()) != 0 || milliseconds(math.Inf(1)) != 0 || milliseconds(0.0123456) != 12.346 {
		t.Error("numbers are not made fit for JSON")
	}
}
