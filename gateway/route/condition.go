package route

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// condition is what a rule asks of a request. Empty fields hold for every request.
type condition struct {
	host     string // lower case; with wildcard a suffix that begins with a dot
	wildcard bool
	hasPath  bool
	prefix   string // of the path, without trailing slash; empty is the root
	method   string
	model    string
	service  string
	call     string // the gRPC method
	headers  []headerCondition
}

type headerCondition struct{ name, value string } // name in lower case

func newCondition(r *Rule) condition {
	c := condition{method: r.Method, model: r.Model, service: r.GRPCService, call: r.GRPCMethod}
	c.host, c.wildcard = hostPattern(r.Host)
	c.hasPath, c.prefix = r.Path != "", strings.TrimSuffix(r.Path, "/")
	for _, name := range slices.Sorted(maps.Keys(r.Headers)) {
		c.headers = append(c.headers, headerCondition{strings.ToLower(name), r.Headers[name]})
	}
	return c
}

// view is a request with what matching derives from it.
type view struct {
	*Request
	host []byte // canonical
	path []byte // without query
}

func (c *condition) matches(v *view) bool {
	return (c.model == "" || string(v.Model) == c.model) &&
		(c.host == "" || c.matchesHost(v.host)) &&
		(!c.hasPath || hasPathPrefix(v.path, c.prefix)) &&
		(c.method == "" || string(v.Method) == c.method) &&
		(c.service == "" || string(v.GRPCService) == c.service) &&
		(c.call == "" || string(v.GRPCMethod) == c.call) &&
		(len(c.headers) == 0 || c.matchesHeaders(v.Header))
}

func (c *condition) matchesHost(host []byte) bool {
	if !c.wildcard {
		return string(host) == c.host
	}
	n := len(host) - len(c.host)
	return n > 0 && string(host[n:]) == c.host
}

func (c *condition) matchesHeaders(h HeaderSource) bool {
	if h == nil {
		return false
	}
	for i := range c.headers {
		if !c.headers[i].matches(h) {
			return false
		}
	}
	return true
}

func (c *headerCondition) matches(h HeaderSource) bool {
	for from := 0; ; {
		value, next, ok := h.Next(c.name, from)
		if !ok {
			return false
		}
		if string(value) == c.value {
			return true
		}
		from = next
	}
}

// key is one exact thing that a condition asks for, by which it can be looked up.
type key struct {
	kind  kind
	name  string // of the header
	value string
}

type kind uint8

// The kinds of keys, those that are cheap to look up first.
const (
	byModel kind = iota
	byService
	byHost
	byPath
	bySuffix
	byHeader
)

// keys returns everything that the condition can be looked up by, cheapest first.
func (c *condition) keys() []key {
	var keys []key
	add := func(is bool, k key) {
		if is {
			keys = append(keys, k)
		}
	}
	add(c.model != "", key{kind: byModel, value: c.model})
	add(c.service != "", key{kind: byService, value: c.service})
	add(c.host != "" && !c.wildcard, key{kind: byHost, value: c.host})
	add(c.prefix != "", key{kind: byPath, value: c.prefix})
	add(c.wildcard, key{kind: bySuffix, value: c.host})
	for _, h := range c.headers {
		add(true, key{byHeader, h.name, h.value})
	}
	return keys
}

// fingerprint is the same for conditions that hold for the same requests.
func (c *condition) fingerprint() string { return fmt.Sprintf("%#v", *c) }
