package traffic

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
)

// Kind is a way to ask for an answer.
type Kind string

// The kinds of requests.
const (
	Unary      Kind = "unary"       // POST /v1/chat/completions over HTTP/1.1, answered in one body
	SSE        Kind = "sse"         // the same, answered as server-sent events
	GRPC       Kind = "grpc"        // ModelInfer of KServe v2
	GRPCStream Kind = "grpc-stream" // ModelStreamInfer, one request for each stream
)

// Kinds are all kinds, in the order of reports.
var Kinds = []Kind{Unary, SSE, GRPC, GRPCStream}

// Options say what a driver sends. A zero field takes its value from DefaultOptions, but for those whose zero is documented.
type Options struct {
	// Target is the gateway's address, as host:port.
	Target string
	// Model is the model that is asked for.
	Model string
	// Rates are requests per second by kind; at least one must be more than 0.
	Rates map[Kind]float64
	// MinTokens and MaxTokens bound how many tokens a request asks for.
	MinTokens, MaxTokens int
	// Clients is how many clients of HTTP/1.1, each with connections of its own, and how many connections of HTTP/2 there are. Requests take
	// them in turn.
	Clients int
	// NewConnections has each unary request take a connection of its own, as a script's does. A client that keeps its connections hardly ever meets
	// what refuses new ones.
	NewConnections bool
	// Users is how many values x-user-id takes, in turn: user-0, user-1 and so on. 0 sends no such header.
	Users int
	// Header is sent with every request, over gRPC as metadata.
	Header http.Header
	// MaxInFlight bounds the requests underway. What is due beyond it is dropped, and the run is not valid.
	MaxInFlight int
	// Timeout is how long a request may take. It is the deadline of RPCs, too.
	Timeout time.Duration
	// StopTimeout is how long Stop waits for the requests underway before it breaks them off.
	StopTimeout time.Duration
}

// DefaultOptions are the options that nothing was said about.
var DefaultOptions = Options{
	Model: "llama-3-8b", MinTokens: 8, MaxTokens: 64, Clients: 4, MaxInFlight: 2000, Timeout: time.Minute, StopTimeout: 30 * time.Second,
}

func (o *Options) fill() {
	d := &DefaultOptions
	if o.Model == "" {
		o.Model = d.Model
	}
	if o.MinTokens == 0 && o.MaxTokens == 0 {
		o.MinTokens, o.MaxTokens = d.MinTokens, d.MaxTokens
	}
	if o.Clients == 0 {
		o.Clients = d.Clients
	}
	if o.MaxInFlight == 0 {
		o.MaxInFlight = d.MaxInFlight
	}
	if o.Timeout == 0 {
		o.Timeout = d.Timeout
	}
	if o.StopTimeout == 0 {
		o.StopTimeout = d.StopTimeout
	}
}

const (
	maxRate    = 10_000 // requests per second of a kind
	maxClients = 1000
	maxUsers   = 10_000
)

// Validate says what is wrong with the options.
func (o Options) Validate() error {
	o.fill()
	if _, _, err := net.SplitHostPort(o.Target); err != nil {
		return fmt.Errorf("cannot send to %q: the target must be host:port, such as 127.0.0.1:8000", o.Target)
	}
	some := false
	for kind, rate := range o.Rates {
		if !slices.Contains(Kinds, kind) {
			return fmt.Errorf("cannot send requests of kind %q: the kinds are %v", kind, Kinds)
		}
		if !(rate >= 0 && rate <= maxRate) {
			return fmt.Errorf("cannot send %v requests of kind %s a second: it must be 0 to %d", rate, kind, maxRate)
		}
		some = some || rate > 0
	}
	const mostTokens = 100_000
	switch {
	case !some:
		return fmt.Errorf("cannot send nothing: the rate of one kind must be more than 0")
	case o.MinTokens < 1 || o.MaxTokens < o.MinTokens || o.MaxTokens > mostTokens:
		return fmt.Errorf("cannot ask for %d to %d tokens: want 1 to %d, the smaller number first", o.MinTokens, o.MaxTokens, mostTokens)
	case o.Clients < 1 || o.Clients > maxClients:
		return fmt.Errorf("cannot send with %d clients: want 1 to %d", o.Clients, maxClients)
	case o.Users < 0 || o.Users > maxUsers:
		return fmt.Errorf("cannot send for %d users: want 0 to %d", o.Users, maxUsers)
	case o.MaxInFlight < 1:
		return fmt.Errorf("cannot have at most %d requests underway: it must be at least 1", o.MaxInFlight)
	case o.Timeout < 0 || o.StopTimeout < 0:
		return fmt.Errorf("cannot wait for %v and %v: timeouts must be more than 0s", o.Timeout, o.StopTimeout)
	}
	return checkHeader(o.Header)
}

// driversOwn are headers that the driver sets itself.
var driversOwn = []string{"content-type", "content-length", "host", "x-request-id", "x-user-id"}

func checkHeader(h http.Header) error {
	for name, values := range h {
		if !httpguts.ValidHeaderFieldName(name) || slices.Contains(driversOwn, strings.ToLower(name)) || strings.HasPrefix(strings.ToLower(name), "grpc-") {
			return fmt.Errorf("cannot send the header %q: it must be a header's name, and none of grpc-* and %s", name, strings.Join(driversOwn, ", "))
		}
		for _, v := range values {
			if !httpguts.ValidHeaderFieldValue(v) {
				return fmt.Errorf("cannot send the header %s: %q is no header's value", name, v)
			}
		}
	}
	return nil
}
