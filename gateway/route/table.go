package route

import (
	"errors"
	"fmt"
	"strings"
)

// Table is an ordered list of rules. It is immutable; a new configuration makes a new one.
type Table struct {
	routes   []*Route
	known    *index // the rules, for requests whose model is known
	unknown  *index // for the others: rules without a model, and in place of those with one what else they ask for
	hasHosts bool
	hasPaths bool
	hasModel bool
}

// NewTable makes a table of rules, which it copies. The error tells everything that is wrong with any of them.
func NewTable(rules []Rule) (*Table, error) {
	t := &Table{}
	var errs []error
	names := make(map[string]bool, len(rules))
	for i := range rules {
		rule := rules[i]
		if rule.Name == "" {
			rule.Name = fmt.Sprintf("route-%d", i)
		}
		if err := rule.validate(); err != nil {
			errs = append(errs, fmt.Errorf("cannot use route %q: %w", rule.Name, err))
			continue
		}
		if names[rule.Name] {
			errs = append(errs, fmt.Errorf("cannot use route %q: another route has this name; choose a different one", rule.Name))
		}
		names[rule.Name] = true
		t.routes = append(t.routes, newRoute(rule))
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	t.buildIndexes()
	return t, nil
}

func newRoute(rule Rule) *Route {
	rt := &Route{Rule: rule, RequestEdit: rule.RequestHeaders.compile(), ResponseEdit: rule.ResponseHeaders.compile()}
	rt.Targets = append([]Target(nil), rule.Targets...)
	rt.split.compile(rt.Targets)
	rt.prefix = strings.TrimSuffix(rule.Path, "/")
	rt.mirror = mirrorShare(rule.Mirror)
	if rule.Sticky != nil {
		sticky := *rule.Sticky
		sticky.Header = strings.ToLower(sticky.Header)
		rt.Sticky = &sticky
	}
	return rt
}

// buildIndexes files the rules. While a request's model is unknown, all rules that differ in their model alone are one question
// (might any of them take it?), which the first of them stands for.
func (t *Table) buildIndexes() {
	var known, unknown []*candidate
	asked := make(map[string]bool)
	for order, rt := range t.routes {
		c := &candidate{condition: newCondition(&rt.Rule), order: order, route: rt}
		t.hasHosts = t.hasHosts || c.host != ""
		t.hasPaths = t.hasPaths || c.hasPath
		t.hasModel = t.hasModel || c.model != ""
		known = append(known, c)
		if c.model == "" {
			unknown = append(unknown, c)
			continue
		}
		ask := &candidate{condition: c.condition, order: order}
		ask.model = ""
		if id := ask.fingerprint(); !asked[id] {
			asked[id] = true
			unknown = append(unknown, ask)
		}
	}
	t.known, t.unknown = newIndex(known), newIndex(unknown)
}

// Routes returns the table's routes in order.
func (t *Table) Routes() []*Route { return t.routes }

// HasModels reports whether any rule asks for a model.
func (t *Table) HasModels() bool { return t.hasModel }

// Match returns the first route, in the table's order, that takes the request; nil if none does, for which Miss gives the reason.
// needModel is set, and no route returned, if a rule that might take the request asks for its model, no earlier rule surely takes
// it, and r.ModelKnown is false: find the model, set ModelKnown and call again.
//
// Paths are compared byte for byte: nothing is decoded, merged or resolved, so /v1/%63hat is not below /v1/chat. To let nobody out
// of a prefix that a rule gave them, in a table with any Path no rule takes a request whose path has a dot segment: "." or "..",
// also with "%2e" for a dot, and "%2f", "%5c" or a backslash for a slash, and with parameters after a ";". Clients remove dot
// segments before they send (RFC 3986, section 5.2.4). Since an endpoint may decode what is not decoded here, a path rule says
// what its pools get and is no means to keep a path from the rules after it.
func (t *Table) Match(r *Request) (rt *Route, needModel bool) {
	var buf [maxHost]byte
	v := view{Request: r, path: withoutQuery(r.Path)}
	if t.hasPaths && hasDotSegment(v.path) {
		return nil, false
	}
	if t.hasHosts {
		v.host = canonicalHost(r.Host, &buf)
	}
	x := t.known
	if !r.ModelKnown {
		x = t.unknown
	}
	c := x.first(&v)
	if c == nil {
		return nil, false
	}
	return c.route, c.route == nil
}

// MissReason says why no route took a request.
type MissReason uint8

const (
	// NoRoute: no rule takes such a request, whatever its model.
	NoRoute MissReason = iota
	// UnknownModel: a rule would take the request if it named another model.
	UnknownModel
	// MissingModel: a rule would take the request if it named a model.
	MissingModel
	// DotSegment: the path has a dot segment; see Table.Match.
	DotSegment
)

// Miss returns why Match found no route for the request.
func (t *Table) Miss(r *Request) MissReason {
	if t.hasPaths && hasDotSegment(withoutQuery(r.Path)) {
		return DotSegment
	}
	anyModel := *r
	anyModel.ModelKnown = false
	_, wanted := t.Match(&anyModel)
	switch {
	case !wanted:
		return NoRoute
	case len(r.Model) == 0:
		return MissingModel
	}
	return UnknownModel
}
