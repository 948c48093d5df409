package dispatch

import (
	"fmt"
	"strings"
	"time"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/route"
)

// settings is a pool's configuration, made ready for use. It is immutable; a reload makes a new one.
type settings struct {
	config         config.Pool
	connectTimeout time.Duration
	tls            *clientTLS
	replies        poolReplies
	// session reads the session's key from requests; nil where the policy knows no sessions.
	session *route.Route
	// readsPrompts says that the policy looks at prompts.
	readsPrompts bool
	// ejector is nil where ejection is off. It is the former settings' unless what it goes by has changed.
	ejector Ejector
	// static are the endpoints that the configuration lists.
	static []config.Endpoint
}

func newSettings(name string, c *config.Pool, timeouts *config.Timeouts) (*settings, error) {
	if _, err := balancer.NewPolicy(c.Balance, policySettings(c)); err != nil {
		return nil, fmt.Errorf("cannot set up pool %q: field balance: %w", name, err)
	}
	static, err := parseEndpoints(c.Endpoints)
	if err != nil {
		return nil, fmt.Errorf("cannot set up pool %q: %w", name, err)
	}
	tls, err := loadTLS(name, c.TLS)
	if err != nil {
		return nil, err
	}
	s := &settings{
		config: *c, connectTimeout: timeouts.Connect.Std(), tls: tls, static: static,
		replies: newPoolReplies(name, c.Queue), readsPrompts: balancer.ReadsPrompts(c.Balance),
	}
	if k := c.Session; k != nil {
		key := &route.Key{Header: strings.ToLower(k.Header), Cookie: k.Cookie, ClientIP: k.ClientIP}
		s.session = &route.Route{Rule: route.Rule{Sticky: key}}
	}
	return s, nil
}

// policySettings is what the policy is told of the pool.
func policySettings(c *config.Pool) balancer.Settings {
	return balancer.Settings{Objectives: balancer.Objectives{TTFT: int64(c.Objectives.TTFT), TPOT: int64(c.Objectives.TPOT)}}
}

// parseEndpoints reads endpoints' URLs and drops repeated ones.
func parseEndpoints(urls []string) ([]config.Endpoint, error) {
	seen := make(map[string]string, len(urls))
	endpoints := make([]config.Endpoint, 0, len(urls))
	for _, u := range urls {
		e, err := config.ParseEndpoint(u)
		if err != nil {
			return nil, err
		}
		switch first, ok := seen[e.Address()]; {
		case !ok:
			seen[e.Address()] = e.Scheme
			endpoints = append(endpoints, e)
		case first != e.Scheme:
			return nil, fmt.Errorf("cannot use endpoint %s: %s has the same address; list each host:port once", e, first+"://"+e.Address())
		}
	}
	return endpoints, nil
}

// endpointKey is what an endpoint keeps for as long as it lives. Where any of it changes, another Endpoint takes over and the old
// one drains.
type endpointKey struct {
	config.Endpoint
	id              string // see Member.ID
	tls             string // see clientTLS
	connectTimeout  time.Duration
	idleConnections int
	idleTimeout     time.Duration
}

func (s *settings) key(e *Member) endpointKey {
	k := endpointKey{
		Endpoint: e.Endpoint, id: e.ID, connectTimeout: s.connectTimeout,
		idleConnections: s.config.IdleConnections, idleTimeout: s.config.IdleTimeout.Std(),
	}
	if e.Scheme == "https" {
		k.tls = s.tls.identity
	}
	return k
}

func (s *settings) endpointConfig(pool string, e *Member) EndpointConfig {
	c := EndpointConfig{
		Pool: pool, Address: e.Address, Scheme: e.Scheme, ConnectTimeout: s.connectTimeout,
		IdleConnections: s.config.IdleConnections, IdleTimeout: s.config.IdleTimeout.Std(),
	}
	if e.Scheme == "https" {
		c.TLS = s.tls.forHost(e.Host)
	}
	return c
}
