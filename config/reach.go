package config

import (
	"maps"
	"slices"
	"strings"
)

// matchKey is a part of a match that all requests have in common that it takes. A route can only take what another matches if its
// key is one of the other's; looking up by it keeps many routes from costing their square.
type matchKey struct{ model, header string }

// unreachable tells of routes that get no request, as one before them takes everything that they match.
func (r *report) unreachable(routes []Route) {
	before := make(map[matchKey][]int)
	for j := range routes {
		i := firstCover(routes, j, before)
		keys := matchKeys(&routes[j].Match)
		own := keys[len(keys)-1]
		before[own] = append(before[own], j)
		if i == j {
			continue
		}
		first, what := item("routes", i), "all that it matches"
		if covers(&routes[i].Match, &Match{}) {
			what = "every request"
		}
		r.field(item("routes", j), "is never reached, as "+first+" takes "+what, "put it before "+first,
			under(first, "match"), under(item("routes", j), "match"))
	}
}

// firstCover is the first route before j that covers it, or j if none does.
func firstCover(routes []Route, j int, before map[matchKey][]int) int {
	first := j
	for _, key := range matchKeys(&routes[j].Match) {
		for _, i := range before[key] {
			if i < first && covers(&routes[i].Match, &routes[j].Match) {
				first = i
			}
		}
	}
	return first
}

// matchKeys are the keys of the routes that may cover m. The last is m's own, which names the most.
func matchKeys(m *Match) []matchKey {
	headers := []string{""}
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		headers = append(headers, strings.ToLower(name)+":"+m.Headers[name])
	}
	var keys []matchKey
	for _, h := range headers {
		keys = append(keys, matchKey{"", h})
		if m.Model != "" {
			keys = append(keys, matchKey{m.Model, h})
		}
	}
	return keys
}

// covers says whether every request that b matches is matched by a. A path of / counts as every path: what has none, such as
// OPTIONS *, asks no model for anything.
func covers(a, b *Match) bool {
	return (a.Model == "" || a.Model == b.Model) &&
		(a.Host == "" || coversHost(a.Host, b.Host)) &&
		(a.Path == "" || a.Path == "/" || coversPath(a.Path, pathOf(b))) &&
		(a.Method == "" || a.Method == b.Method || a.Method == "POST" && b.GRPCService != "") &&
		(a.GRPCService == "" || a.GRPCService == b.GRPCService) &&
		(a.GRPCMethod == "" || a.GRPCMethod == b.GRPCMethod) &&
		(len(a.Headers) == 0 || coversHeaders(a.Headers, b.Headers))
}

// pathOf is the prefix that all paths have that m matches; those of gRPC are /SERVICE/METHOD.
func pathOf(m *Match) string {
	switch {
	case m.GRPCMethod != "":
		return "/" + m.GRPCService + "/" + m.GRPCMethod
	case m.GRPCService != "":
		return "/" + m.GRPCService
	}
	return m.Path
}

func coversHost(a, b string) bool {
	if a == b {
		return true
	}
	suffix, wildcard := strings.CutPrefix(a, "*")
	return wildcard && strings.HasSuffix(b, suffix)
}

func coversPath(a, b string) bool {
	rest, ok := strings.CutPrefix(b, strings.TrimSuffix(a, "/"))
	return ok && b != "" && (rest == "" || rest[0] == '/')
}

func coversHeaders(a, b map[string]string) bool {
	lower := make(map[string]string, len(b))
	for name, value := range b {
		lower[strings.ToLower(name)] = value
	}
	for name, value := range a {
		if got, ok := lower[strings.ToLower(name)]; !ok || got != value {
			return false
		}
	}
	return true
}
