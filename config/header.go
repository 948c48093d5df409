package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

const wantToken = "want letters, digits and any of !#$%&'*+-.^_`|~"

// isToken says whether s is a token (RFC 9110 section 5.6.2), as names of headers and methods are.
func isToken(s string) bool {
	for i := range len(s) {
		if !isAlphanumeric(s[i]) && strings.IndexByte("!#$%&'*+-.^_`|~", s[i]) < 0 {
			return false
		}
	}
	return s != ""
}

// ownHeaders are the headers that the gateway itself writes for each connection, so that no route may: the hop-by-hop ones (RFC 9110
// section 7.6.1, and Trailer), those that frame the body, that wait for the body, and that name the host.
var ownHeaders = map[string]string{
	"connection":        "belongs to one connection (hop-by-hop)",
	"keep-alive":        "belongs to one connection (hop-by-hop)",
	"proxy-connection":  "belongs to one connection (hop-by-hop)",
	"te":                "belongs to one connection (hop-by-hop)",
	"trailer":           "belongs to one connection (hop-by-hop)",
	"transfer-encoding": "belongs to one connection (hop-by-hop)",
	"upgrade":           "belongs to one connection (hop-by-hop)",
	"content-length":    "frames the body",
	"expect":            "says whether the body waits",
	"host":              "says where the request goes",
}

// headerValues checks names and values of headers.
func (r *report) headerValues(headers map[string]string, path string) {
	first := make(map[string]string, len(headers))
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		at := under(path, name)
		r.headerName(name, at, first)
		if value := headers[name]; strings.Trim(value, " \t") != value {
			r.field(at, "the value begins or ends with a blank, which HTTP does not keep", "leave it out")
		}
	}
}

// headerName checks the name of a header; first has those that were seen before, by their lower case.
func (r *report) headerName(name, at string, first map[string]string) {
	lower := strings.ToLower(name)
	f, repeated := first[lower]
	switch {
	case !isToken(name):
		r.field(at, quote(name)+" is no name of a header", wantToken)
	case repeated:
		r.field(at, fmt.Sprintf("%s repeats %s; case does not tell headers apart", quote(name), quote(f)), "keep one of them")
	default:
		first[lower] = name
	}
}

func (r *report) headerEdit(e *HeaderEdit, path string) {
	set, remove := under(path, "set"), under(path, "remove")
	r.headerValues(e.Set, set)
	for _, name := range slices.Sorted(maps.Keys(e.Set)) {
		r.notOwn(name, under(set, name))
	}
	first := make(map[string]string, len(e.Remove))
	for i, name := range e.Remove {
		r.headerName(name, item(remove, i), first)
		r.notOwn(name, item(remove, i))
	}
}

func (r *report) notOwn(name, at string) {
	if why, own := ownHeaders[strings.ToLower(name)]; own {
		r.field(at, quote(name)+" "+why+", and the gateway writes it itself", "leave it out")
	}
}
