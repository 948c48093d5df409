package config

import (
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"
)

func (r *report) match(m *Match, path string) {
	if m.Host != "" {
		r.hostPattern(m.Host, under(path, "host"))
	}
	if m.Path != "" {
		r.pathPrefix(m.Path, under(path, "path"))
	}
	if m.Method != "" {
		r.method(m.Method, under(path, "method"))
	}
	r.modelName(m.Model, under(path, "model"))
	r.headerValues(m.Headers, under(path, "headers"))
	for _, name := range slices.Sorted(maps.Keys(m.Headers)) {
		if strings.EqualFold(name, "host") {
			r.field(under(under(path, "headers"), name), "the host has a field of its own", "want match.host")
		}
	}
	r.grpcMatch(m, path)
}

func (r *report) grpcMatch(m *Match, path string) {
	service, method := under(path, "grpcService"), under(path, "grpcMethod")
	if m.GRPCMethod != "" && m.GRPCService == "" {
		r.field(method, "is the method of no service", "want grpcService beside it", service)
	}
	if m.GRPCMethod != "" && !isProtoName(m.GRPCMethod, false) {
		r.value(method, quote(m.GRPCMethod)+" is no name of a gRPC method", "want letters, digits and _, such as ModelInfer")
	}
	if m.GRPCService == "" {
		return
	}
	if !isProtoName(m.GRPCService, true) {
		r.value(service, quote(m.GRPCService)+" is no full name of a gRPC service",
			"want the package and the service, such as inference.GRPCInferenceService")
	}
	if m.Path != "" {
		r.field(under(path, "path"), "stands beside grpcService, which says the path already", "want one of them")
	}
	if m.Method != "" {
		r.field(under(path, "method"), "stands beside grpcService, and gRPC is always POST", "leave it out; grpcMethod names a gRPC method")
	}
}

// isProtoName says whether s is an identifier of Protocol Buffers, or, if dotted, several joined by dots.
func isProtoName(s string, dotted bool) bool {
	if dotted {
		for part := range strings.SplitSeq(s, ".") {
			if !isProtoName(part, false) {
				return false
			}
		}
		return true
	}
	for i := range len(s) {
		digit := '0' <= s[i] && s[i] <= '9'
		if s[i] != '_' && (!isAlphanumeric(s[i]) || i == 0 && digit) {
			return false
		}
	}
	return s != ""
}

func (r *report) hostPattern(s, path string) {
	const want = "want a host without port, such as api.example.com, or *.example.com"
	name, wildcard := strings.CutPrefix(s, "*.")
	switch lower := strings.ToLower(s); {
	case s == "*":
		r.value(path, `"*" is no host`, "leave it out to match any host")
	case s != lower:
		r.value(path, quote(s)+" has capitals, and hosts are matched in lower case", "write "+clip(lower))
	case isBracketedIP(s), isHostName(name):
	case !wildcard && isIP(s):
		if strings.Contains(s, ":") {
			r.value(path, quote(s)+" is an IPv6 address without brackets", "write \"["+clip(s)+"]\"")
		}
	case strings.Contains(s, "*"):
		r.value(path, quote(s)+" has a * that is not a whole first label", want)
	default:
		problem := quote(s) + " is no host"
		if i := strings.LastIndexByte(s, ':'); i >= 0 && isPort(s[i+1:]) {
			problem = fmt.Sprintf("%s has a port", quote(s))
		}
		r.value(path, problem, want)
	}
}

// isBracketedIP says whether s is an IPv6 address as it stands in a URL (RFC 3986 section 3.2.2).
func isBracketedIP(s string) bool {
	if len(s) < 2 || s[0] != '[' || s[len(s)-1] != ']' {
		return false
	}
	ip, err := netip.ParseAddr(s[1 : len(s)-1])
	return err == nil && ip.Is6() && ip.Zone() == ""
}

// requestPath checks a path, or a prefix of one, as it stands in a request.
func (r *report) requestPath(s, path string) {
	switch i := strings.IndexAny(s, "?# \t"); {
	case s == "":
		r.field(path, "is missing", "want a path, such as /v1", path)
	case s[0] != '/':
		r.value(path, quoteURL(s)+" does not begin with /", "write \"/"+clip(maskURL(s))+"\"")
	case i >= 0:
		r.value(path, fmt.Sprintf("%s has a %q, which no path has", quoteURL(s), s[i]), "want a path alone, percent-encoded")
	case strings.IndexFunc(s, func(c rune) bool { return c > '~' }) >= 0:
		r.value(path, quote(s)+" has characters beyond ASCII", "percent-encode them")
	}
}

// pathPrefix checks a prefix of paths. As it ends on a whole segment, a slash at its end would say nothing.
func (r *report) pathPrefix(s, path string) {
	r.requestPath(s, path)
	if hasDotSegment(s) {
		r.field(path, quote(s)+" has a segment . or .., which leads out of the prefix", "write the path without it")
	}
	if short := strings.TrimRight(s, "/"); short != "" && short != s {
		r.field(path, quote(s)+" ends with /, and prefixes match whole segments anyway", "write "+clip(short))
	}
}

// pathEncodings are the ways to write a dot, a slash and the semicolon that ends a segment's name (RFC 3986 section 3.3), and the
// backslash that some servers take for a slash.
var pathEncodings = strings.NewReplacer("%2e", ".", "%2f", "/", "%5c", "/", `\`, "/", "%3b", ";")

// hasDotSegment says whether a server could take a segment of s for a step to this folder or the one above.
func hasDotSegment(s string) bool {
	for segment := range strings.SplitSeq(pathEncodings.Replace(strings.ToLower(s)), "/") {
		if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
			return true
		}
	}
	return false
}

func (r *report) method(s, path string) {
	known := []string{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"}
	upper := strings.ToUpper(s)
	switch {
	case !isToken(s):
		r.value(path, quote(s)+" is no method", "want a method, such as POST")
	case s != upper && slices.Contains(known, upper):
		r.value(path, quote(s)+" is no method, as case counts", "write "+upper)
	}
}

// maxModel bounds the names of models, as requests are searched for them.
const maxModel = 512

func (r *report) modelName(s, path string) {
	if len(s) > maxModel {
		r.value(path, fmt.Sprintf("is %d bytes long", len(s)), fmt.Sprintf("want at most %d", maxModel))
	}
}
