package main

import (
	"net/netip"
	"slices"
	"time"
)

// loadSpec is what the load generator is to do. It travels as JSON from the harness to its child process.
type loadSpec struct {
	Shape    string         `json:"shape"` // closed, open, stream or hold
	Target   netip.AddrPort `json:"target"`
	Conns    int            `json:"conns"`
	Calls    int            `json:"calls"`    // gRPC calls at once on each connection; 0 is HTTP/1.1
	Kind     string         `json:"kind"`     // what streams ask for: paced, burst or hold; or the kind of gRPC call: unary, large, flushed or steps
	Interval time.Duration  `json:"interval"` // paced: between two events of a stream
	Events   int            `json:"events"`   // events of a burst stream
	Rate     int            `json:"rate"`     // open: requests per second
	WarmUp   time.Duration  `json:"warmUp"`
	Window   time.Duration  `json:"window"`
	// Proxy and Backend are the processes whose usage is measured over the window.
	Proxy   []int `json:"proxy"`
	Backend []int `json:"backend"`
	// ProxyCores and LoadCores are the CPU cores whose load is measured over the window.
	ProxyCores []int `json:"proxyCores"`
	LoadCores  []int `json:"loadCores"`
}

// protocol is what the load speaks.
func (s loadSpec) protocol() protocol {
	if s.Calls > 0 {
		return protocolGRPC
	}
	return protocolHTTP
}

// Shapes of load.
const (
	shapeClosed = "closed" // each slot sends its next request when it has the answer
	shapeOpen   = "open"   // requests at a fixed rate, whatever the answers take
	shapeStream = "stream" // one SSE stream on each connection, again and again for bursts
	shapeHold   = "hold"   // opens SSE streams and keeps them open
)

// loadResult is what one load generator measured in its window.
type loadResult struct {
	Requests  int64    `json:"requests"` // whole answers
	Events    int64    `json:"events"`   // events of streams
	Nanos     int64    `json:"nanos"`    // length of the window
	Errors    []string `json:"errors"`   // the first few different ones; any makes the measurement invalid
	Failures  int      `json:"failures"` // how many there were
	Proxy     usage    `json:"proxy"`
	Backend   usage    `json:"backend"`
	Generator usage    `json:"generator"`
	ProxyCore coreTime `json:"proxyCore"`
	LoadCore  coreTime `json:"loadCore"`
	// P50 and P99 are nanoseconds: from a request's sending, or for shape open its scheduled time, to its whole answer; for paced
	// streams from the backend's write of an event to its arrival.
	P50 int64 `json:"p50"`
	P99 int64 `json:"p99"`
	// Before and Open are the proxy's memory without and with the streams of shape hold.
	Before  memory `json:"before"`
	Open    memory `json:"open"`
	Streams int    `json:"streams"`
}

// maxErrors is how many errors a result spells out.
const maxErrors = 5

func (r *loadResult) fail(err error) {
	r.Failures++
	if len(r.Errors) < maxErrors && !slices.Contains(r.Errors, err.Error()) {
		r.Errors = append(r.Errors, err.Error())
	}
}
