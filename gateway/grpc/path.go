package grpc

import "strings"

// SplitPath splits the :path of a call, "/package.Service/Method". ok is false if path is not of that form: it has exactly two
// segments, neither is empty, and there is no query.
func SplitPath(path string) (service, method string, ok bool) {
	rest, rooted := strings.CutPrefix(path, "/")
	service, method, two := strings.Cut(rest, "/")
	if !rooted || !two || service == "" || method == "" || strings.ContainsRune(method, '/') || strings.ContainsRune(path, '?') {
		return "", "", false
	}
	return service, method, true
}
