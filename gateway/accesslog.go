package gateway

import (
	"bytes"
	"math"
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/dispatch"
)

// accessLog writes one line of JSON, in the shape of log/slog, for each request. Successes are sampled, failures never. The query
// of a request's target is not logged, as it may hold secrets.
type accessLog struct {
	lines   *lineWriter
	sampled atomic.Uint64 // a success is logged if a random number is below; 0 is never
	enabled atomic.Bool
	cutting atomic.Bool // the gateway ends whatever is underway
	scratch sync.Pool   // of *jsonLine
}

func newAccessLog(lines *lineWriter) *accessLog {
	return &accessLog{lines: lines, scratch: sync.Pool{New: func() any { return new(jsonLine) }}}
}

// set changes what is logged.
func (l *accessLog) set(c config.AccessLog) {
	share := uint64(math.MaxUint64)
	if c.Sample < 1 {
		share = uint64(c.Sample * (1 << 64))
	}
	l.sampled.Store(share)
	l.enabled.Store(c.Enabled)
}

// write logs an exchange that has just finished.
func (l *accessLog) write(x *dispatch.Exchange, route, pool string) {
	if !l.enabled.Load() || !failed(x) && rand.Uint64() > l.sampled.Load() {
		return
	}
	line := l.scratch.Get().(*jsonLine)
	line.begin()
	line.time("time", time.Now())
	line.string("level", "INFO")
	line.string("msg", "request")
	line.request(x)
	line.outcome(x, route, pool)
	line.troubles(x, l.cutting.Load())
	line.end()
	l.lines.write(*line)
	l.scratch.Put(line)
}

var question = []byte("?")

// failed says whether a request ended in an error, of whatever side.
func failed(x *dispatch.Exchange) bool {
	return x.Status < 100 || x.Status >= 400 || x.Outcome != dispatch.Completed && x.Outcome != dispatch.Refused
}

func (l *jsonLine) request(x *dispatch.Exchange) {
	l.bytes("request_id", x.RequestID)
	if id := x.Traced(); id != nil {
		l.bytes("trace_id", id)
	} else if x.ClientTrace[0] != 0 {
		l.bytes("trace_id", x.ClientTrace[:])
	}
	l.address("client", x.ClientIP)
	l.bytes("method", x.Request.Method)
	path, _, _ := bytes.Cut(x.Request.Path, question)
	l.bytes("path", path)
	l.string("protocol", x.Protocol)
	var model []byte
	if x.Request.ModelKnown {
		model = x.Request.Model
	}
	l.bytes("model", model)
}

func (l *jsonLine) outcome(x *dispatch.Exchange, route, pool string) {
	l.integer("status", int64(x.Status))
	if x.GRPCStatus >= 0 {
		l.integer("grpc_status", int64(x.GRPCStatus))
	}
	l.string("route", route)
	l.string("pool", pool)
	endpoint := ""
	if x.Endpoint != nil {
		endpoint = x.Endpoint.Address
	}
	l.string("endpoint", endpoint)
	l.integer("attempts", int64(x.Attempts))
	l.milliseconds("queue_ms", x.Queued)
	if x.Streamed && x.FirstToken > 0 {
		l.milliseconds("ttft_ms", x.FirstToken-x.Started)
		if n := outputTokens(x); n > 1 && x.LastToken > x.FirstToken {
			l.milliseconds("tpot_ms", (x.LastToken-x.FirstToken)/(n-1))
		}
	}
	l.milliseconds("duration_ms", x.Finished-x.Started)
	l.integer("request_bytes", x.RequestBytes)
	l.integer("response_bytes", x.ResponseBytes)
	l.integer("prompt_tokens", int64(x.Usage.PromptTokens))
	l.integer("completion_tokens", int64(x.Usage.CompletionTokens))
	l.integer("cached_tokens", int64(x.Usage.CachedTokens))
	l.string("outcome", x.Outcome.String())
	code := ""
	if x.Refusal != nil {
		code = x.Refusal.Code
	}
	l.string("code", code)
}

// troubles appends what few requests have: why the last retry was made, and who cut the request. closing says that the gateway cuts all.
func (l *jsonLine) troubles(x *dispatch.Exchange, closing bool) {
	if x.Retried != dispatch.Completed {
		l.string("retry", x.Retried.String())
	}
	if side := abortSide(x, closing); side != "" {
		l.string("abort", side)
	}
}

// abortSide is who cut a request that had begun somewhere; empty if nobody did. Where the gateway told the client of it, the refusal says what happened.
func abortSide(x *dispatch.Exchange, closing bool) string {
	o := x.Outcome
	if o == dispatch.Refused && x.Refusal != nil {
		o = failureOf(x.Refusal)
	}
	switch o {
	case dispatch.ClientGone:
		if closing {
			return "gateway"
		}
		return "client"
	case dispatch.UpstreamReset, dispatch.UpstreamBroken, dispatch.StaleConnection:
		if closing {
			return "gateway"
		}
		return "endpoint"
	case dispatch.UpstreamTimeout, dispatch.DeadlineExceeded:
		return "gateway"
	}
	return ""
}

// failureOf is the failure that a refusal tells the client of; Refused if it tells of none.
func failureOf(r *dispatch.Reply) dispatch.Outcome {
	for _, o := range [...]dispatch.Outcome{dispatch.StaleConnection, dispatch.UpstreamReset, dispatch.UpstreamBroken, dispatch.UpstreamTimeout, dispatch.DeadlineExceeded} {
		if r == dispatch.FailureReply(o) {
			return o
		}
	}
	return dispatch.Refused
}

func (l *jsonLine) time(name string, t time.Time) {
	l.name(name)
	*l = append(*l, '"')
	*l = t.AppendFormat(*l, "2006-01-02T15:04:05.000Z07:00")
	*l = append(*l, '"')
}

// address appends an IP address; a request that did not get as far as having one gets an empty string.
func (l *jsonLine) address(name string, ip netip.Addr) {
	l.name(name)
	*l = append(*l, '"')
	if ip.IsValid() {
		*l = ip.AppendTo(*l)
	}
	*l = append(*l, '"')
}
