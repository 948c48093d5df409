package config

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// Validate says everything that is wrong with a configuration, as Errors without places, or returns nil. It reads the certificates
// that the configuration names. Parse and Load return valid configurations; this is for those that code built, which it does best
// from the Default values.
func (c *Config) Validate() error {
	r := newReport("")
	validate(c, r)
	return r.err()
}

// validate adds everything that is wrong with c to r. Values go first: what follows from a wrong value is not told.
func validate(c *Config, r *report) {
	r.values(reflect.ValueOf(c).Elem(), "", "")
	r.listeners(c)
	if _, err := time.Parse(time.RFC3339, c.ActiveFrom); c.ActiveFrom != "" && err != nil {
		r.value("activeFrom", quote(c.ActiveFrom)+" is not a time", "want one of RFC 3339, such as 2026-11-26T14:00:00Z")
	}
	r.adminSecurity(&c.AdminSecurity, "adminSecurity")
	if c.TLS != nil {
		r.listenerTLS(c.TLS, "tls")
	}
	if c.Autoscale != nil {
		r.autoscale(c, "autoscale")
	}
	r.trustedProxies(c.TrustedProxies, "trustedProxies")
	names := slices.Sorted(maps.Keys(c.Pools))
	r.pools(c, names)
	r.routes(c, names)
}

func (r *report) pools(c *Config, names []string) {
	if len(names) == 0 {
		r.field("pools", "there are no pools", "want at least one: pools: {NAME: {endpoints: [URL]}}", "pools")
	}
	for _, name := range names {
		path := under("pools", name)
		r.poolName(name, path)
		if p := c.Pools[name]; p != nil {
			r.pool(p, path)
		} else {
			r.field(path, "is nil", "want a pool")
		}
	}
	if len(names) > 1 && len(c.Routes) == 0 && !r.isBroken("pools") {
		r.field("routes", fmt.Sprintf("there are %d pools and no routes", len(names)),
			fmt.Sprintf("say what each pool takes: routes: [{match: {model: NAME}, split: [{pool: %s}]}, ...]", names[0]))
	}
}

func (r *report) poolName(name, path string) {
	if !isLabel(name) {
		r.field(path, quote(name)+" is no name for a pool", wantLabel)
	}
}

// maxLabel is the longest value that Kubernetes takes in a label, which is where names end up.
const maxLabel = 63

const wantLabel = "want at most 63 letters, digits, -, _ and ., with a letter or digit at both ends"

// isLabel says whether s can be the value of a Kubernetes label.
func isLabel(s string) bool {
	if s == "" || len(s) > maxLabel {
		return false
	}
	for i := range len(s) {
		middle := i > 0 && i < len(s)-1 && strings.IndexByte("-_.", s[i]) >= 0
		if !middle && !isAlphanumeric(s[i]) {
			return false
		}
	}
	return true
}

func isAlphanumeric(b byte) bool {
	return '0' <= b && b <= '9' || 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z'
}
