package config

import (
	"fmt"
	"slices"
)

// routes checks the routes; pools are the names of all pools, sorted.
func (r *report) routes(c *Config, pools []string) {
	names := make(map[string]int, len(c.Routes))
	for i := range c.Routes {
		route, path := &c.Routes[i], item("routes", i)
		r.routeName(route, i, path, names)
		r.match(&route.Match, under(path, "match"))
		r.split(route, path, c.Pools, pools)
		if route.Sticky != nil {
			r.key(route.Sticky, under(path, "sticky"))
		}
		if route.Mirror != nil {
			r.mirror(route, under(path, "mirror"), c.Pools, pools)
		}
		if route.Rewrite != nil {
			r.rewrite(route, path)
		}
		if route.RequestHeaders != nil {
			r.headerEdit(route.RequestHeaders, under(path, "requestHeaders"))
		}
		if route.ResponseHeaders != nil {
			r.headerEdit(route.ResponseHeaders, under(path, "responseHeaders"))
		}
	}
	r.unreachable(c.Routes)
}

func (r *report) routeName(route *Route, i int, path string, seen map[string]int) {
	at, name := under(path, "name"), route.DisplayName(i)
	if !isLabel(name) {
		r.field(at, quote(name)+" is no name for a route", wantLabel)
		return
	}
	if first, ok := seen[name]; ok {
		r.field(at, fmt.Sprintf("%s is the name of %s too", quote(name), item("routes", first)), "want another name")
		return
	}
	seen[name] = i
}

func (r *report) split(route *Route, path string, known map[string]*Pool, names []string) {
	split := under(path, "split")
	if len(route.Split) == 0 {
		r.field(path, "has no split, so its requests go nowhere", "want split: [{pool: NAME}]", split)
		return
	}
	type destination struct{ pool, model string }
	seen := make(map[destination]int, len(route.Split))
	for i, t := range route.Split {
		at := item(split, i)
		r.poolRef(t.Pool, under(at, "pool"), known, names)
		r.modelName(t.Model, under(at, "model"))
		to := destination{t.Pool, t.Model}
		if first, ok := seen[to]; ok {
			r.field(at, "repeats "+item(split, first), "add their weights up in one of them", under(at, "pool"), under(at, "model"))
			continue
		}
		seen[to] = i
	}
	r.weights(route, split)
}

func (r *report) weights(route *Route, split string) {
	given, sum := 0, 0
	for _, t := range route.Split {
		if t.Weight != nil {
			given++
			sum += *t.Weight
		}
	}
	switch {
	case given > 0 && given < len(route.Split):
		for i, t := range route.Split {
			if t.Weight == nil {
				r.field(item(split, i), "has no weight, though others of the split have one", "want weight: N in each of them, or in none",
					under(item(split, i), "weight"))
			}
		}
	case given > 0 && sum == 0:
		r.field(split, "has no weight above 0, so its requests go nowhere", "want a weight of at least 1 in one of them", split)
	}
}

// poolRef checks the name of a pool that a route refers to.
func (r *report) poolRef(name, path string, known map[string]*Pool, names []string) {
	if name == "" {
		r.field(path, "is missing", "want the name of a pool", path)
		return
	}
	if _, ok := known[name]; ok || r.isBroken("pools") {
		return
	}
	want := "add it to pools"
	if near := closest(name, names); near != "" {
		want = "did you mean " + near + "?"
	}
	r.field(path, "there is no pool "+quote(name), want)
}

func (r *report) mirror(route *Route, path string, known map[string]*Pool, names []string) {
	at := under(path, "pool")
	r.poolRef(route.Mirror.Pool, at, known, names)
	inSplit := func(t Target) bool { return t.Pool == route.Mirror.Pool }
	if route.Mirror.Pool != "" && slices.ContainsFunc(route.Split, inSplit) {
		r.field(at, quote(route.Mirror.Pool)+" is in the split already", "want a pool that the split does not use")
	}
}

func (r *report) rewrite(route *Route, path string) {
	at := under(path, "rewrite")
	if route.Match.Path == "" {
		r.field(at, "has no prefix to replace", "want match.path beside it", under(path, "match"))
	}
	r.pathPrefix(route.Rewrite.PathPrefix, under(at, "pathPrefix"))
}
