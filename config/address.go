package config

import (
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// listeners checks the addresses of the traffic and the admin port.
func (r *report) listeners(c *Config) {
	r.listenAddress(c.Listen, "listen", DefaultConfig.Listen)
	r.listenAddress(c.Admin, "admin", DefaultConfig.Admin)
	if clash(c.Listen, c.Admin) {
		r.field("admin", quote(c.Admin)+" takes the same port as listen, "+quote(c.Listen),
			"want a port of its own, such as "+freePort(c.Listen), "listen", "admin")
	}
}

// freePort is an address for the admin port that does not clash with listen.
func freePort(listen string) string {
	if clash(listen, DefaultConfig.Admin) {
		return ":8002"
	}
	return DefaultConfig.Admin
}

func (r *report) listenAddress(address, path, example string) {
	want := "want host:port, or :port for every address, such as " + example
	host, port, err := net.SplitHostPort(address)
	switch {
	case err != nil:
		if isPort(address) {
			want = "write \":" + address + "\""
		}
		r.value(path, quote(address)+" is not an address", want)
	case !isPort(port) && port != "0":
		r.value(path, fmt.Sprintf("%s has no port between 0 and 65535", quote(address)), want)
	case host != "" && !isIP(host) && !isHostName(host):
		r.value(path, fmt.Sprintf("%s is neither an IP address nor a host name", quote(host)), want)
	}
}

// clash says whether two addresses cannot be listened on at once. Port 0 is whichever port is free.
func clash(a, b string) bool {
	hostA, portA, errA := net.SplitHostPort(a)
	hostB, portB, errB := net.SplitHostPort(b)
	if errA != nil || errB != nil || portA != portB || portA == "0" {
		return false
	}
	return isWildcard(hostA) || isWildcard(hostB) || strings.EqualFold(hostA, hostB)
}

func isWildcard(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "" || err == nil && ip.IsUnspecified()
}

func (r *report) trustedProxies(list []string, path string) {
	seen := make(map[netip.Prefix]string)
	for i, s := range list {
		prefix, problem, want := parseNetwork(s)
		if problem == "" && seen[prefix] != "" {
			problem, want = fmt.Sprintf("%s repeats %s", quote(s), quote(seen[prefix])), "list each network once"
		}
		if problem != "" {
			r.value(item(path, i), problem, want)
			continue
		}
		seen[prefix] = s
	}
}

// parseNetwork reads a CIDR or an address. If it cannot, problem says what is wrong with s and want what would be right.
func parseNetwork(s string) (p netip.Prefix, problem, want string) {
	want = "want a network such as 10.0.0.0/8 or an address such as 10.1.2.3"
	if !strings.Contains(s, "/") {
		ip, err := netip.ParseAddr(s)
		if err != nil || ip.Zone() != "" {
			return p, quote(s) + " is neither a network nor an address", want
		}
		return netip.PrefixFrom(ip, ip.BitLen()), "", ""
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, quote(s) + " is not a network", want
	}
	if p.Masked() != p {
		return p, fmt.Sprintf("%s has bits set beyond its first %d", quote(s), p.Bits()), "write " + p.Masked().String()
	}
	return p, "", ""
}

func isIP(s string) bool {
	_, err := netip.ParseAddr(s)
	return err == nil
}

// isPort says whether s is the number of a port, without sign or leading zeros.
func isPort(s string) bool {
	n, err := strconv.ParseUint(s, 10, 16)
	return err == nil && n > 0 && strconv.FormatUint(n, 10) == s
}

// isHostName says whether s is a DNS name (RFC 1123 section 2.1), with underscores as resolvers allow them, and no IPv4 address
// gone wrong: its last label is not a number.
func isHostName(s string) bool {
	labels := strings.Split(s, ".")
	for _, l := range labels {
		if !isHostLabel(l) {
			return false
		}
	}
	last := labels[len(labels)-1]
	return len(s) <= 253 && strings.Trim(last, "0123456789") != ""
}

func isHostLabel(s string) bool {
	if s == "" || len(s) > 63 || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && s[i] != '-' && s[i] != '_' {
			return false
		}
	}
	return true
}
