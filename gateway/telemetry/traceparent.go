package telemetry

import (
	"encoding/binary"
	"encoding/hex"
	"math/rand/v2"

	"go.opentelemetry.io/otel/trace"

	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/route"
)

// remoteParent is a span of the caller, as traceparent names it.
type remoteParent struct {
	trace trace.TraceID
	span  trace.SpanID
	flags trace.TraceFlags // those that are known
}

// flagRandom says that the trace's id is random (W3C Trace Context, level 2). It is passed on.
const flagRandom trace.TraceFlags = 2

// Where the parts of traceparent stand: version-trace-parent-flags. Later versions may add to it, but not change these.
const (
	traceAt       = 3
	spanAt        = 36
	flagsAt       = 53
	parentBytes   = 55
	longestParent = 512 // bytes that a later version may need
)

// parseTraceparent reads a traceparent as W3C Trace Context, section 3.2, has it.
func parseTraceparent(b []byte) (p remoteParent, ok bool) {
	if len(b) < parentBytes || len(b) > longestParent || b[traceAt-1] != '-' || b[spanAt-1] != '-' || b[flagsAt-1] != '-' {
		return p, false
	}
	var version, flags [1]byte
	if !readHex(version[:], b[:2]) || !readHex(p.trace[:], b[traceAt:]) || !readHex(p.span[:], b[spanAt:]) || !readHex(flags[:], b[flagsAt:]) {
		return p, false
	}
	switch {
	case version[0] == 0xff, version[0] == 0 && len(b) > parentBytes, len(b) > parentBytes && b[parentBytes] != '-':
		return p, false
	case !p.trace.IsValid() || !p.span.IsValid():
		return p, false
	}
	p.flags = trace.TraceFlags(flags[0]) & (trace.FlagsSampled | flagRandom)
	return p, true
}

// readHex fills dst from as many lower-case digits as it takes.
func readHex(dst, digits []byte) bool {
	for i := range dst {
		high, low := hexValue(digits[2*i]), hexValue(digits[2*i+1])
		if high|low > 15 {
			return false
		}
		dst[i] = high<<4 | low
	}
	return true
}

func hexValue(c byte) byte {
	switch {
	case '0' <= c && c <= '9':
		return c - '0'
	case 'a' <= c && c <= 'f':
		return c - 'a' + 10
	}
	return 0xff
}

// parentOf reads the parent that a request names; nil if it names none, more than one, or none that is sound. p is where it is read to.
func parentOf(h route.HeaderSource, p *remoteParent) *remoteParent {
	if h == nil {
		return nil
	}
	value, next, ok := h.Next("traceparent", 0)
	if !ok {
		return nil
	}
	if _, _, again := h.Next("traceparent", next); again {
		return nil
	}
	if *p, ok = parseTraceparent(value); !ok {
		return nil
	}
	return p
}

// stateOf reads tracestate, which may be spread over several fields. One that is malformed is none.
func stateOf(h route.HeaderSource) trace.TraceState {
	var list []byte
	for from := 0; ; {
		value, next, ok := h.Next("tracestate", from)
		if !ok {
			break
		}
		if len(list) > 0 {
			list = append(list, ',')
		}
		list = append(list, value...)
		from = next
	}
	state, err := trace.ParseTraceState(string(list))
	if err != nil {
		return trace.TraceState{}
	}
	return state
}

// newTraceID makes a random id. It is not secret.
func newTraceID() (id trace.TraceID) {
	for !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:8], rand.Uint64())
		binary.NativeEndian.PutUint64(id[8:], rand.Uint64())
	}
	return id
}

func newSpanID() (id trace.SpanID) {
	for !id.IsValid() {
		binary.NativeEndian.PutUint64(id[:], rand.Uint64())
	}
	return id
}

// writeParent writes a traceparent of version 00.
func writeParent(dst *[parentBytes]byte, id trace.TraceID, span trace.SpanID, flags trace.TraceFlags) {
	copy(dst[:], "00-")
	hex.Encode(dst[traceAt:], id[:])
	dst[spanAt-1] = '-'
	hex.Encode(dst[spanAt:], span[:])
	dst[flagsAt-1] = '-'
	hex.Encode(dst[flagsAt:], []byte{byte(flags)})
}

// contextOf is how others are told of a span.
func contextOf(sc trace.SpanContext, state string) *dispatch.TraceContext {
	c := &dispatch.TraceContext{State: state}
	writeParent(&c.Parent, sc.TraceID(), sc.SpanID(), sc.TraceFlags())
	return c
}
