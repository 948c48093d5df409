package main

// protocol is what is spoken between the load, the proxies and the backend.
type protocol string

const (
	protocolHTTP protocol = "http" // HTTP/1.1
	protocolGRPC protocol = "grpc" // gRPC over HTTP/2 without TLS, begun with prior knowledge
)
