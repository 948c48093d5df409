package config

import (
	"fmt"
	"slices"
)

// pool checks a pool; path is where it stands.
func (r *report) pool(p *Pool, path string) {
	r.source(p, path)
	r.endpoints(p.Endpoints, under(path, "endpoints"))
	if p.Service != nil {
		r.service(p.Service, under(path, "service"))
	}
	if p.DNS != nil {
		r.dns(p.DNS, under(path, "dns"))
	}
	r.sessionPolicy(p, path)
	if p.Metrics != nil {
		r.metrics(p, path)
	}
	if p.Probe != nil {
		r.probe(p.Probe, under(path, "probe"))
	}
	r.eject(&p.Eject, under(path, "eject"))
	if p.TLS != nil {
		r.upstreamTLS(p, path)
	}
}

// source checks that exactly one of a pool's fields says where its endpoints are.
func (r *report) source(p *Pool, path string) {
	endpoints, service, dns, file := under(path, "endpoints"), under(path, "service"), under(path, "dns"), under(path, "file")
	var given []string
	for _, f := range []struct {
		name string
		set  bool
	}{{"endpoints", len(p.Endpoints) > 0}, {"service", p.Service != nil}, {"dns", p.DNS != nil}, {"file", p.File != ""}} {
		if f.set {
			given = append(given, f.name)
		}
	}
	if len(given) == 0 {
		r.field(path, "does not say where its endpoints are",
			"want one of endpoints: [URL], service: {namespace: NS, name: NAME}, dns: {name: NAME, port: PORT} and file: PATH",
			endpoints, service, dns, file)
		return
	}
	for _, name := range given[1:] {
		r.field(under(path, name), "stands beside "+given[0], "keep one of them, and put the other into a pool of its own")
	}
}

func (r *report) endpoints(list []string, path string) {
	seen := make(map[string]string, len(list))
	for i, s := range list {
		e, problem, want := parseEndpoint(s)
		if first, ok := seen[e.Address()]; ok && problem == "" {
			problem, want = fmt.Sprintf("%s repeats %s", quote(s), quote(first)), "list each host:port once"
		}
		if problem != "" {
			r.value(item(path, i), problem, want)
			continue
		}
		seen[e.Address()] = s
	}
}

func (r *report) service(s *Service, path string) {
	for _, f := range []struct{ name, value string }{{"namespace", s.Namespace}, {"name", s.Name}} {
		at := under(path, f.name)
		switch {
		case f.value == "":
			r.field(at, "is missing", "want the Service's "+f.name, at)
		case !isKubernetesName(f.value):
			r.value(at, quote(f.value)+" is no name in Kubernetes", wantKubernetesName)
		}
	}
	if s.Port != "" && !isServicePort(s.Port) {
		r.value(under(path, "port"), quote(s.Port)+" is not a port", "want the name or the number (1 to 65535) of the Service's port")
	}
}

func (r *report) sessionPolicy(p *Pool, path string) {
	balance, session := under(path, "balance"), under(path, "session")
	switch {
	case p.Balance == "session" && p.Session == nil:
		r.field(balance, "is session, and nothing says what a session is", "add session: {header: NAME}, {cookie: NAME} or {clientIP: true}",
			balance, session)
	case p.Balance != "session" && p.Balance != "auto" && p.Session != nil:
		r.field(session, "has no meaning for balance: "+p.Balance, "leave it out, or want balance: session or auto", balance)
	}
	if p.Session != nil {
		r.key(p.Session, session)
	}
}

// key checks that a key has exactly one field, and that it is one.
func (r *report) key(k *Key, path string) {
	var given []string
	if k.Header != "" {
		given = append(given, "header")
	}
	if k.Cookie != "" {
		given = append(given, "cookie")
	}
	if k.ClientIP {
		given = append(given, "clientIP")
	}
	header, cookie := under(path, "header"), under(path, "cookie")
	switch len(given) {
	case 0:
		r.field(path, "says nothing", "want one of header: NAME, cookie: NAME or clientIP: true", path)
	case 1:
	default:
		r.field(path, fmt.Sprintf("sets %s and %s", given[0], given[1]), "want exactly one of header, cookie and clientIP", path)
	}
	if k.Header != "" && !isToken(k.Header) {
		r.value(header, quote(k.Header)+" is no name of a header", wantToken)
	}
	if k.Cookie != "" && !isToken(k.Cookie) {
		r.value(cookie, quote(k.Cookie)+" is no name of a cookie", wantToken)
	}
}

func (r *report) probe(p *Probe, path string) {
	request, grpc := under(path, "path"), under(path, "grpc")
	switch {
	case p.GRPC == nil && !r.isBroken(grpc):
		r.requestPath(p.Path, request)
	case p.Path != "":
		r.field(request, "stands beside grpc", "keep path to probe with GET, or grpc to ask by gRPC's health protocol", grpc)
	}
	if interval, timeout := under(path, "interval"), under(path, "timeout"); p.Timeout > p.Interval {
		r.field(timeout, fmt.Sprintf("is %s, more than interval, %s", p.Timeout, p.Interval),
			"want at most interval, so that probes do not overlap", interval, timeout)
	}
}

// metrics checks how a pool's metrics are polled; path is the pool's.
func (r *report) metrics(p *Pool, path string) {
	m, engine, path := p.Metrics, under(path, "engine"), under(path, "metrics")
	if p.Engine == "none" {
		r.field(path, "has no meaning for engine: none", "leave it out, or say which engine it is", engine)
	}
	if m.Path != "" {
		r.requestPath(m.Path, under(path, "path"))
	}
	if interval, timeout := under(path, "interval"), under(path, "timeout"); m.Timeout >= m.Interval {
		r.field(timeout, fmt.Sprintf("is %s, not less than interval, %s", m.Timeout, m.Interval), "want less than interval", interval, timeout)
	}
}

func (r *report) eject(e *Eject, path string) {
	if base, most := under(path, "baseTime"), under(path, "maxTime"); e.BaseTime > e.MaxTime {
		r.field(most, fmt.Sprintf("is %s, less than baseTime, %s", e.MaxTime, e.BaseTime), "want at least baseTime", base, most)
	}
}

// usesTLS says whether an endpoint of a pool is, or may be, spoken to over TLS.
func usesTLS(p *Pool) bool {
	switch {
	case p.Service != nil:
		return p.Service.Scheme == "https" || p.Service.Scheme == "auto"
	case p.DNS != nil:
		return p.DNS.Scheme == "https"
	case p.File != "":
		return true
	}
	return slices.ContainsFunc(p.Endpoints, func(s string) bool {
		e, problem, _ := parseEndpoint(s)
		return problem == "" && e.Scheme == "https"
	})
}
