package main

import (
	"encoding/binary"
	"fmt"

	"golang.org/x/net/http2/hpack"
)

// Sizes in bytes of gRPC messages, without the five bytes that come before each.
const (
	smallMessage = 256
	largeMessage = 64 << 10
)

// streamMessages is how many messages a server stream has.
const streamMessages = 200

// rpc is a method of the benchmark's gRPC service. Its requests and responses are always the same bytes, so that both ends can check
// every one of them.
type rpc struct {
	path string
	// request and response are the bodies: one or more messages, each with its prefix.
	request, response []byte
	// message is the bytes of one message of the response with its prefix.
	message int
	// flushed says that each message of the response is written by itself.
	flushed bool
	// fields is the request's header section.
	fields headerList
}

// Kinds of gRPC call.
const (
	kindUnary   = "unary"   // a small message each way
	kindLarge   = "large"   // a large message each way
	kindFlushed = "flushed" // a small message there, and a stream of small ones back, each by a write of its own
	kindSteps   = "steps"   // the same, but the messages that several streams of a connection have at the same time leave by one write
)

// rpcs are the methods by kind.
var rpcs = map[string]*rpc{
	kindUnary:   newRPC("Unary", smallMessage, 1, false),
	kindLarge:   newRPC("Large", largeMessage, 1, false),
	kindFlushed: newRPC("Flushed", smallMessage, streamMessages, true),
	kindSteps:   newRPC("Steps", smallMessage, streamMessages, false),
}

// rpcByPath finds a method by the path of its requests.
var rpcByPath = func() map[string]*rpc {
	byPath := map[string]*rpc{}
	for _, r := range rpcs {
		byPath[r.path] = r
	}
	return byPath
}()

const contentTypeGRPC = "application/grpc"

// newRPC makes a method with one message to ask and count to answer, all of size bytes.
func newRPC(name string, size, count int, flushed bool) *rpc {
	r := &rpc{path: "/bench.Bench/" + name, request: messages(size, 1), response: messages(size, count), message: messagePrefix + size,
		flushed: flushed}
	// The order is that of grpc-go's clients.
	r.fields = headerList{
		{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "http"}, {Name: ":path", Value: r.path},
		{Name: ":authority", Value: "bench.example"}, {Name: "content-type", Value: contentTypeGRPC}, {Name: "user-agent", Value: "proxybench"},
		{Name: "te", Value: "trailers"}, {Name: "authorization", Value: "Bearer sk-0123456789abcdef0123456789abcdef"},
	}
	return r
}

// messagePrefix is the bytes before each message: whether it is compressed, and its length.
const messagePrefix = 5

// messages is a body of count messages of size bytes. Each begins with its number, so that none can take another's place.
func messages(size, count int) []byte {
	var b []byte
	for i := range count {
		b = append(b, 0)
		b = binary.BigEndian.AppendUint32(b, uint32(size))
		b = append(b, padded(fmt.Sprintf(`{"id":%d,"delta":"`, i), `"}`, size)...)
	}
	return b
}

// What the backend sends around a response's body, and what a proxy must have kept of the sections that it forwards.
var (
	responseHeaders  = headerList{{Name: ":status", Value: "200"}, {Name: "content-type", Value: contentTypeGRPC}}
	responseTrailers = headerList{{Name: "grpc-status", Value: "0"}, {Name: "grpc-message", Value: ""}}
)

// refusal is a response that says only why there is none.
func refusal(why error) *headerList {
	const invalidArgument = "3"
	return &headerList{responseHeaders[0], responseHeaders[1],
		{Name: "grpc-status", Value: invalidArgument}, {Name: "grpc-message", Value: why.Error()}}
}

// value is the value of the field of that name; ok is false where there is none or more than one.
func value(fields []hpack.HeaderField, name string) (v string, ok bool) {
	n := 0
	for i := range fields {
		if fields[i].Name == name {
			v = fields[i].Value
			n++
		}
	}
	return v, n == 1
}

// methodOf finds the method that a request's header section asks for, and checks what a proxy must not change of it.
func methodOf(fields []hpack.HeaderField) (*rpc, error) {
	path, _ := value(fields, ":path")
	r := rpcByPath[path]
	if r == nil {
		return nil, fmt.Errorf("there is no method %q", path)
	}
	for _, want := range r.fields {
		switch want.Name {
		case ":scheme", ":authority", "user-agent":
			continue // a proxy may choose its own
		}
		if got, ok := value(fields, want.Name); !ok || got != want.Value {
			return nil, fmt.Errorf("the request's fields %q are not %s: %s exactly once", fields, want.Name, want.Value)
		}
	}
	return r, nil
}

// checkHead is an error unless a response's header section is that of a response with a body.
func checkHead(fields []hpack.HeaderField, end bool) error {
	for _, want := range responseHeaders {
		if got, ok := value(fields, want.Name); !ok || got != want.Value || end {
			return fmt.Errorf("the proxy answered %s", describe(fields))
		}
	}
	return nil
}

// checkTrailers is an error unless a response's trailers end it well.
func checkTrailers(fields []hpack.HeaderField, end bool) error {
	if status, ok := value(fields, "grpc-status"); !ok || status != "0" || !end {
		return fmt.Errorf("the proxy ended a response with %s", describe(fields))
	}
	return nil
}

// describe is the fields that say how a call went.
func describe(fields []hpack.HeaderField) string {
	s := ""
	for _, f := range fields {
		if f.Name == ":status" || f.Name == "content-type" || f.Name == "grpc-status" || f.Name == "grpc-message" {
			s += fmt.Sprintf("%s: %s; ", f.Name, f.Value)
		}
	}
	return "these fields: " + s
}
