package dispatch

import (
	"fmt"
	"sync/atomic"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/route"
)

// Route is a route of the table that a request was matched by.
type Route struct {
	*route.Route

	// Side by side with Route.Targets.
	pools []*Pool
	stats []atomic.Value

	mirror *Pool
}

// table is what a configuration says of requests. It is immutable, but for what observers keep in it.
type table struct {
	routes *route.Table
	of     map[*route.Route]*Route
	// stats is for requests that no route takes.
	stats atomic.Value
}

// defaultRoute is the name of the route of a configuration without routes.
const defaultRoute = "default"

// newRoutes compiles the configuration's routes. Without any, its only pool takes everything.
func newRoutes(c *config.Config) (*route.Table, error) {
	rules := newRules(c)
	if err := checkPools(rules, c.Pools); err != nil {
		return nil, err
	}
	return route.NewTable(rules)
}

// EachTarget calls yield with the name of each route that a dispatcher has while c is in force, and with the pool and the model of each target of its
// split.
func EachTarget(c *config.Config, yield func(route, pool, model string)) {
	for _, r := range newRules(c) {
		for _, t := range r.Targets {
			yield(r.Name, t.Pool, t.Model)
		}
	}
}

func newRules(c *config.Config) []route.Rule {
	rules := make([]route.Rule, 0, len(c.Routes))
	for i := range c.Routes {
		rules = append(rules, newRule(&c.Routes[i], i))
	}
	if len(rules) == 0 && len(c.Pools) == 1 {
		for name := range c.Pools {
			rules = append(rules, route.Rule{Name: defaultRoute, Targets: []route.Target{{Pool: name}}})
		}
	}
	return rules
}

// checkPools finds rules that name a pool that is not configured.
func checkPools(rules []route.Rule, pools map[string]*config.Pool) error {
	for i := range rules {
		r := &rules[i]
		names := make([]string, 0, len(r.Targets)+1)
		for _, t := range r.Targets {
			names = append(names, t.Pool)
		}
		if r.Mirror != nil {
			names = append(names, r.Mirror.Pool)
		}
		for _, name := range names {
			if pools[name] == nil {
				return fmt.Errorf("cannot use route %q: it names pool %q, which is not configured", r.Name, name)
			}
		}
	}
	return nil
}

func newRule(c *config.Route, i int) route.Rule {
	m := &c.Match
	r := route.Rule{
		Name: c.DisplayName(i),
		Host: m.Host, Path: m.Path, Method: m.Method, Headers: m.Headers, Model: m.Model,
		GRPCService: m.GRPCService, GRPCMethod: m.GRPCMethod,
		RequestHeaders: newEdit(c.RequestHeaders), ResponseHeaders: newEdit(c.ResponseHeaders),
	}
	weights := c.Weights()
	for i, t := range c.Split {
		r.Targets = append(r.Targets, route.Target{Pool: t.Pool, Weight: weights[i], Model: t.Model})
	}
	if k := c.Sticky; k != nil {
		r.Sticky = &route.Key{Header: k.Header, Cookie: k.Cookie, ClientIP: k.ClientIP}
	}
	if m := c.Mirror; m != nil {
		r.Mirror = &route.Mirror{Pool: m.Pool, Percent: m.Percent, MaxBodyBytes: m.MaxBodyBytes}
	}
	if w := c.Rewrite; w != nil {
		r.RewritePrefix = &w.PathPrefix
	}
	return r
}

func newEdit(c *config.HeaderEdit) route.Edit {
	if c == nil {
		return route.Edit{}
	}
	return route.Edit{Set: c.Set, Remove: c.Remove}
}

// newTable binds compiled routes to pools, which has all that they name.
func newTable(routes *route.Table, pools map[string]*Pool) *table {
	t := &table{routes: routes, of: make(map[*route.Route]*Route, len(routes.Routes()))}
	for _, compiled := range routes.Routes() {
		r := &Route{Route: compiled, pools: make([]*Pool, len(compiled.Targets)), stats: make([]atomic.Value, len(compiled.Targets))}
		for i := range compiled.Targets {
			r.pools[i] = pools[compiled.Targets[i].Pool]
		}
		if compiled.Mirror != nil {
			r.mirror = pools[compiled.Mirror.Pool]
		}
		t.of[compiled] = r
	}
	return t
}

func emptyTable() *table {
	routes, err := route.NewTable(nil)
	if err != nil {
		panic("BUG: cannot make an empty table: " + err.Error())
	}
	return newTable(routes, nil)
}

// Ready reports whether a pool that the split gives a share of the route's requests has an endpoint that takes picks. An only target gets
// them all, whatever its weight.
func (r *Route) Ready() bool {
	for i := range r.Targets {
		if (r.Targets[i].Weight > 0 || len(r.Targets) == 1) && r.pools[i].Ready() > 0 {
			return true
		}
	}
	return false
}

// target returns the place of t, which is one of r's.
func (r *Route) target(t *route.Target) int {
	for i := range r.Targets {
		if &r.Targets[i] == t {
			return i
		}
	}
	panic("BUG: a route chose a target of another route")
}
