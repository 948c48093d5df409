package discovery

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"

	"github.com/penstock/penstock/config"
)

// Resolver looks names up. net.Resolver is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
	LookupSRV(ctx context.Context, service, proto, name string) (cname string, records []*net.SRV, err error)
}

// Dial connects to a DNS server over UDP or TCP, as net.Dialer does.
type Dial func(ctx context.Context, network, address string) (net.Conn, error)

// NewResolver returns a resolver that asks the servers of /etc/resolv.conf, which it connects to with dial. It takes a failure of any of the
// questions that make a lookup (A, AAAA, the search list) for one of the lookup: half an answer would take endpoints out of a pool that are
// there. A lookup ends with its context.
func NewResolver(dial Dial) *net.Resolver {
	return &net.Resolver{
		PreferGo:     true,
		StrictErrors: true,
		Dial: func(ctx context.Context, network, address string) (net.Conn, error) {
			c, err := dial(ctx, network, address)
			if err != nil {
				return nil, err
			}
			// The resolver itself goes on waiting for a server after a lookup was given up. ctx ends with the question at the latest.
			context.AfterFunc(ctx, func() { c.Close() })
			return c, nil
		},
	}
}

// dns finds a pool's endpoints by looking a name up.
type dns struct {
	pool     string
	settings config.DNS
	resolver Resolver
}

// NewDNS returns the source of a pool whose endpoints are what resolver finds as settings say, which are valid.
func NewDNS(pool string, settings *config.DNS, resolver Resolver) Source {
	return &dns{pool, *settings, resolver}
}

func (d *dns) Pool() string { return d.pool }

func (d *dns) Key() string {
	s, port := &d.settings, 0
	if s.Port != nil {
		port = *s.Port
	}
	return fmt.Sprintf("dns %s %s %d %s every %s within %s", s.Type, s.Name, port, s.Scheme, s.Interval, s.Timeout)
}

func (d *dns) Run(ctx context.Context, sink Sink) error {
	poll(ctx, d.pool, d.settings.Interval.Std(), d.look, sink)
	return nil
}

func (d *dns) look(ctx context.Context) ([]Endpoint, error) {
	ctx, cancel := context.WithTimeout(ctx, d.settings.Timeout.Std())
	defer cancel()
	if d.settings.Type == "srv" {
		return d.lookupSRV(ctx)
	}
	return d.lookupAddresses(ctx)
}

const addressRecords = "addresses (A and AAAA)"

func (d *dns) lookupAddresses(ctx context.Context) ([]Endpoint, error) {
	found, err := d.resolver.LookupNetIP(ctx, "ip", d.settings.Name)
	if err != nil {
		return nil, d.failed(addressRecords, err)
	}
	if len(found) == 0 {
		return nil, d.none(addressRecords, "")
	}
	endpoints := make([]Endpoint, len(found))
	for i, a := range found {
		a = a.Unmap().WithZone("")
		// Filters of names answer with the unspecified address, to which connecting would reach this very host.
		if a.IsUnspecified() || a.IsMulticast() {
			return nil, d.wrong(addressRecords, fmt.Sprintf("%s is among them, which is no host's", a), "addresses of hosts alone")
		}
		endpoints[i].Endpoint = config.Endpoint{Scheme: d.settings.Scheme, Host: a.String(), Port: strconv.Itoa(*d.settings.Port)}
	}
	return endpoints, nil
}

// failed says why a lookup failed and what would be right.
func (d *dns) failed(records string, err error) error {
	var e *net.DNSError
	if !errors.As(err, &e) {
		return d.wrong(records, err.Error(), "a DNS server that answers")
	}
	at := ""
	if e.Server != "" {
		at = " at " + e.Server
	}
	switch {
	case e.IsNotFound:
		return d.none(records, at)
	case e.IsTimeout:
		return unreachable{d.wrong(records, fmt.Sprintf("no answer%s, waited at most %s", at, d.settings.Timeout), "a DNS server that answers, or more time as dns.timeout")}
	}
	return unreachable{d.wrong(records, e.Err+at, "a DNS server that answers for the name")}
}

// none says that there are no records. Resolvers do not tell a name that does not exist from one that has none of the records.
func (d *dns) none(records, at string) error {
	return d.wrong(records, "there are none"+at, "a name that has some: correct dns.name, or add the records")
}

func (d *dns) wrong(records, problem, want string) error {
	return fmt.Errorf("cannot look up the %s of %q for pool %s: %s; want %s", records, d.settings.Name, d.pool, problem, want)
}
