package config

import "strings"

// unreachable tells of routes that get no request, as one before them takes everything that they match.
func (r *report) unreachable(routes []Route) {
	// Only routes for the same model, or for any, can take what a route matches; this keeps many models from costing their square.
	byModel := make(map[string][]int)
	for j := range routes {
		m := &routes[j].Match
		i := firstCover(routes, byModel[""], m)
		if m.Model != "" {
			i = min(i, firstCover(routes, byModel[m.Model], m))
		}
		byModel[m.Model] = append(byModel[m.Model], j)
		if i == len(routes) {
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

// firstCover is the first of the candidates whose match covers m, or len(routes) if none does.
func firstCover(routes []Route, candidates []int, m *Match) int {
	for _, i := range candidates {
		if covers(&routes[i].Match, m) {
			return i
		}
	}
	return len(routes)
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
