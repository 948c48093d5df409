// Package grpc knows what the gateway needs of gRPC over HTTP/2, without any schema compiled in: which requests are calls, their
// deadlines, how a refusal reads in gRPC, and the model that a request message names. Messages are scanned where they lie and never
// changed but for a model's name. What is done for every call does not allocate.
//
// The protocol is that of gRPC's "gRPC over HTTP2" (doc/PROTOCOL-HTTP2.md in its repository), called the specification here.
package grpc
