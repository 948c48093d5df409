package config

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Endpoint is an entry of Pool.Endpoints, taken apart.
type Endpoint struct {
	// Scheme is http, https or h2c (HTTP/2 without TLS).
	Scheme string
	// Host is a name in lower case or an IP address, without brackets.
	Host string
	// Port is a number from 1 to 65535, in decimal digits.
	Port string
}

// Address is host:port, with brackets around an IPv6 address.
func (e Endpoint) Address() string { return net.JoinHostPort(e.Host, e.Port) }

// String is the endpoint as a URL.
func (e Endpoint) String() string { return e.Scheme + "://" + e.Address() }

// ParseEndpoint reads the URL of an endpoint: scheme, host and port, and nothing else.
func ParseEndpoint(s string) (Endpoint, error) {
	e, problem, want := parseEndpoint(s)
	if problem != "" {
		return Endpoint{}, fmt.Errorf("cannot read endpoint: %s; %s", problem, want)
	}
	return e, nil
}

var endpointSchemes = []string{"http", "https", "h2c"}

const wantEndpoint = "want http://HOST:PORT, https://HOST:PORT or h2c://HOST:PORT"

// parseEndpoint reads an endpoint. If it cannot, problem says what is wrong with s and want what would be right.
func parseEndpoint(s string) (e Endpoint, problem, want string) {
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		if _, problem, _ := parseEndpoint("http://" + s); problem == "" {
			return e, quote(s) + " has no scheme", "write http://" + s
		}
		return e, quoteURL(s) + " is not the URL of an endpoint", wantEndpoint
	}
	if !slices.Contains(endpointSchemes, scheme) {
		want = wantEndpoint
		if scheme == "grpc" {
			rest = clip(maskURL(rest))
			want = "write h2c://" + rest + " for gRPC without TLS, or https://" + rest
		}
		return e, fmt.Sprintf("%s has the scheme %s", quoteURL(s), quote(scheme)), want
	}
	if i := strings.IndexAny(rest, "/?#@"); i >= 0 {
		what := map[byte]string{'/': "a path", '?': "a query", '#': "a fragment", '@': "a user"}[rest[i]]
		return e, fmt.Sprintf("%s has %s", quoteURL(s), what), onlyHost(scheme, rest)
	}
	host, port, err := net.SplitHostPort(rest)
	if err != nil && isHost(strings.Trim(rest, "[]")) {
		return e, quote(s) + " has no port", fmt.Sprintf("add the port, such as %s://%s:8000", scheme, withBrackets(rest))
	}
	if err != nil || !isHost(host) {
		return e, quote(s) + " has no host that is an IP address or a name", wantEndpoint
	}
	if !isPort(port) {
		return e, quote(s) + " has no port between 1 and 65535", wantEndpoint
	}
	return Endpoint{Scheme: scheme, Host: canonicalHost(host), Port: port}, "", ""
}

// quoteURL is quote for URLs that may hold credentials.
func quoteURL(s string) string { return quote(maskURL(s)) }

// maskURL hides where URLs hold credentials: the user, and the query.
func maskURL(s string) string {
	if i := strings.IndexAny(s, "?#"); i >= 0 {
		s = s[:i+1] + redacted
	}
	scheme, rest, found := strings.Cut(s, "://")
	if !found {
		scheme, rest = "", s
	} else {
		scheme += "://"
	}
	if i := strings.LastIndexByte(rest, '@'); i >= 0 {
		rest = redacted + rest[i:]
	}
	return scheme + rest
}

// onlyHost says how to write an endpoint without its user, path, query and fragment.
func onlyHost(scheme, rest string) string {
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	u := scheme + "://" + rest[strings.LastIndexByte(rest, '@')+1:]
	if _, problem, _ := parseEndpoint(u); problem != "" {
		return wantEndpoint
	}
	return "write " + u
}

func withBrackets(host string) string {
	if strings.Contains(host, ":") && host[0] != '[' {
		return "[" + host + "]"
	}
	return host
}

func isHost(s string) bool {
	ip, err := netip.ParseAddr(s)
	return err == nil && ip.Zone() == "" || isHostName(s)
}

// canonicalHost writes a host in the one way in which equal hosts are equal texts.
func canonicalHost(s string) string {
	if ip, err := netip.ParseAddr(s); err == nil {
		return ip.String()
	}
	return strings.ToLower(s)
}
