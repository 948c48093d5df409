package grpc

import "strings"

const baseType = "application/grpc"

// IsGRPC reports whether a request or response with that Content-Type is a gRPC call: "application/grpc", alone or followed by a
// "+subtype" or parameters. gRPC-Web is another protocol, so "application/grpc-web" is none. Case does not matter, as in all media types.
func IsGRPC(contentType string) bool {
	if len(contentType) < len(baseType) || !strings.EqualFold(contentType[:len(baseType)], baseType) {
		return false
	}
	rest := contentType[len(baseType):]
	if rest == "" || rest[0] == '+' {
		return true
	}
	rest = strings.TrimLeft(rest, " \t")
	return rest == "" || rest[0] == ';'
}
