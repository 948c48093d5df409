package route

import (
	"bytes"
	"fmt"
	"strings"
)

// maxHost is the longest host that is compared: a DNS name has at most 255 octets (RFC 1035, section 2.3.4).
const maxHost = 256

// canonicalHost returns host in lower case, without port and without the dot that ends a fully qualified name. It aliases host
// where it can and buf otherwise. A host that is too long to be one is returned empty, so that it matches no rule.
func canonicalHost(host []byte, buf *[maxHost]byte) []byte {
	host = withoutPort(host)
	if n := len(host); n > 0 && host[n-1] == '.' {
		host = host[:n-1]
	}
	if len(host) > maxHost {
		return nil
	}
	for i, c := range host {
		if 'A' <= c && c <= 'Z' {
			return lower(host, i, buf)
		}
	}
	return host
}

// lower copies host to buf in lower case; its first n bytes are so already.
func lower(host []byte, n int, buf *[maxHost]byte) []byte {
	copy(buf[:], host[:n])
	for i := n; i < len(host); i++ {
		c := host[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		buf[i] = c
	}
	return buf[:len(host)]
}

// withoutPort cuts the port off host, which may be an IP literal in brackets.
func withoutPort(host []byte) []byte {
	colon := bytes.LastIndexByte(host, ':')
	if colon < 0 || host[0] == '[' && host[colon-1] != ']' {
		return host
	}
	return host[:colon]
}

// hostPattern returns a rule's host in canonical form; wildcard is set for "*.example.com", of which ".example.com" is returned.
func hostPattern(host string) (pattern string, wildcard bool) {
	pattern = strings.TrimSuffix(strings.ToLower(host), ".")
	if rest, ok := strings.CutPrefix(pattern, "*"); ok {
		return rest, true
	}
	return pattern, false
}

// checkHost checks a rule's host.
func checkHost(host string) error {
	pattern, wildcard := hostPattern(host)
	name := pattern
	if wildcard {
		name = strings.TrimPrefix(pattern, ".")
		if name == pattern || name == "" {
			return fmt.Errorf(`host %q has a misplaced "*"; write it as "*.example.com"`, host)
		}
	}
	switch {
	case len(pattern) >= maxHost:
		return fmt.Errorf("host %q is longer than a DNS name can be", host)
	case strings.Contains(name, "*"):
		return fmt.Errorf(`host %q has a misplaced "*"; write it as "*.example.com"`, host)
	case string(withoutPort([]byte(name))) != name:
		return fmt.Errorf("host %q has a port; hosts are compared without it, so remove it", host)
	case strings.ContainsAny(name, "/?#@ \t\r\n\x00"):
		return fmt.Errorf("host %q is not a host name; write it as example.com", host)
	}
	return nil
}
