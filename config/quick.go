package config

import (
	"errors"
	"fmt"
	"strings"
)

// quickPool is the name of the only pool of a configuration that Quick builds.
const quickPool = "default"

// Quick builds and validates the configuration of a gateway without a file: one pool, named default, of the backends or of the
// Service, exactly one of which is given. Nothing is probed, and only the metrics of an engine that is named are polled. An empty listen, admin, balance or engine is its default. The error is
// Errors, whose fields are the flags of penstock serve. settings are what the pool has from elsewhere in place of the defaults; nil is nothing.
// A field that only they can have set is called as in a file.
func Quick(listen, admin string, backends []string, service *Service, balance, engine string, settings *Pool) (*Config, error) {
	pool := DefaultPool
	if settings != nil {
		pool = *settings
	}
	pool.Endpoints, pool.Service = backends, service
	c := DefaultConfig
	c.Pools = map[string]*Pool{quickPool: &pool}
	for _, f := range []struct {
		field *string
		given string
	}{{&c.Listen, listen}, {&c.Admin, admin}, {&pool.Balance, balance}, {&pool.Engine, engine}} {
		if f.given != "" {
			*f.field = f.given
		}
	}
	if err := quickErrors(&c, &pool); err != nil {
		return nil, err
	}
	completeMetrics(&c)
	return &c, nil
}

// ParseProbe reads a probe as --probe gives it, with the defaults for all else: the path to get, or grpc or grpc:SERVICE to ask by
// gRPC's health protocol.
func ParseProbe(s string) (*Probe, error) {
	p := DefaultProbe
	name, service, named := strings.Cut(s, ":")
	switch {
	case name != "grpc":
		p.Path = s
	case named && service == "":
		return nil, fmt.Errorf("cannot read probe: %q names no service; want grpc, which asks for the whole server, or grpc:SERVICE", s)
	default:
		p.Path, p.GRPC = "", &GRPCProbe{Service: service}
	}
	return &p, nil
}

// quickErrors is what is wrong with a configuration of flags, in their words.
func quickErrors(c *Config, pool *Pool) error {
	switch {
	case len(pool.Endpoints) == 0 && pool.Service == nil:
		return Errors{{Field: "--backend", Problem: "there is no backend",
			Want: "want --backend URL (repeatable), --service NAMESPACE/NAME or --config FILE"}}
	case len(pool.Endpoints) > 0 && pool.Service != nil:
		return Errors{{Field: "--service", Problem: "stands beside --backend", Want: "want one of them; --config FILE takes several pools"}}
	case pool.Balance == "session" && pool.Session == nil:
		return Errors{{Field: "--balance", Problem: "is session, and no flag says what a session is",
			Want: "want another policy, or --config FILE with session: {header: NAME}"}}
	}
	var errs Errors
	if !errors.As(c.Validate(), &errs) {
		return nil
	}
	for i := range errs {
		errs[i].Field = flagOf(errs[i].Field)
	}
	return errs
}

// flagOf is the flag of penstock serve that sets a field; the field itself if there is none.
func flagOf(field string) string {
	name, _, _ := strings.Cut(strings.ReplaceAll(strings.TrimPrefix(field, "pools."+quickPool+"."), "[", "."), ".")
	switch name {
	case "endpoints":
		return "--backend"
	case "service", "balance", "engine", "listen", "admin":
		return "--" + name
	}
	return field
}
