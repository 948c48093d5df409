package simulate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/penstock/penstock/balancer"
)

// policyMaker makes a policy for one gateway.
type policyMaker func(g *gateway) (balancer.Policy, error)

// rivals are policies of other projects, as these document them.
var rivals = map[string]policyMaker{}

// PolicyNames lists the policies that can be simulated: the balancer's own, and those of other projects, which begin with "rival-".
func PolicyNames() []string {
	names := balancer.PolicyNames()
	for name := range rivals {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// readsPrompts reports whether gateways with that policy look at prompts.
func readsPrompts(name string) bool { return balancer.ReadsPrompts(name) || rivals[name] != nil }

func lookupPolicy(name string) (policyMaker, error) {
	if maker, ok := rivals[name]; ok {
		return maker, nil
	}
	if !slices.Contains(balancer.PolicyNames(), name) {
		return nil, fmt.Errorf("cannot simulate the policy %q: the policies are %s", name, strings.Join(PolicyNames(), ", "))
	}
	return func(g *gateway) (balancer.Policy, error) {
		o := &g.w.o.Objectives
		return balancer.NewPolicy(name, balancer.Settings{Objectives: balancer.Objectives{TTFT: int64(o.TTFT), TPOT: int64(o.TPOT)}})
	}, nil
}
