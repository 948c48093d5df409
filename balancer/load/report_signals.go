package load

import (
	"time"

	"github.com/penstock/penstock/balancer"
)

// reportInterval is how often an endpoint's reports are read at most. A busy endpoint sends thousands a second, and each that is read makes
// new Signals; the queue of a model server does not change faster than it takes a step of its batch, which is some 10 ms.
const reportInterval = int64(10 * time.Millisecond)

// TakeReport reads a load report that came with a response of e at now, in monotonic ns, and publishes what it tells: the value of
// ReportHeader, or of BinaryReportHeader if binary is set. One that comes within 10 ms of a reading is not looked at. It keeps nothing of
// value. The error says what is malformed, and nothing has changed then.
func TakeReport(e *balancer.Endpoint, value []byte, binary bool, now int64) error {
	if !reportDue(e.Signals(), now) {
		return nil
	}
	parse := ParseReport
	if binary {
		parse = ParseBinaryReport
	}
	r, err := parse(value)
	if err != nil {
		return err
	}
	ApplyReport(e, &r, now)
	return nil
}

// ApplyReport publishes what r tells of e as read at now, in monotonic ns, unless r tells nothing that Signals have, or something was read
// less than 10 ms before or published at the same time. It reports whether it did. What r does not tell stays as it is, with its old time.
func ApplyReport(e *balancer.Endpoint, r *Report, now int64) bool {
	known := e.Signals()
	if !reportDue(known, now) || r.told&reported == 0 {
		return false
	}
	s := new(balancer.Signals)
	if known != nil {
		*s = *known
	}
	for _, m := range [...]struct {
		metric Metric
		to     *balancer.Reading
	}{{Waiting, &s.Waiting}, {Running, &s.Running}, {KVCache, &s.KVCache}} {
		if v, ok := r.Value(m.metric); ok {
			*m.to = balancer.Reading{Value: v, At: now}
		}
	}
	s.KVCache.Value = min(s.KVCache.Value, 1) // as with polls
	s.InFlight = ownShare(known, s, e.InFlight(), now)
	return e.ReplaceSignals(known, s)
}

// ownShare returns what Signals.InFlight is once a report at now has made s of known, with own requests in flight. vLLM's reports tell of
// those that wait and not of those that run: then the number stays that of the time when these were told, plus as much of the queue's change
// as own requests account for. Otherwise what this gateway has sent or finished since would be taken for other gateways' load.
func ownShare(known, s *balancer.Signals, own, now int64) int64 {
	if known == nil || !s.Running.Known() || s.Running.At == now {
		return own
	}
	change := int64(s.Waiting.Value - known.Waiting.Value)
	since := own - known.InFlight
	return known.InFlight + min(max(change, min(since, 0)), max(since, 0))
}

// reported is what of a report Signals have, a bit for each Metric.
const reported = 1<<Waiting | 1<<Running | 1<<KVCache

// reportDue reports whether the newest of the readings that reports are about, wherever it is from, is old enough for another one.
func reportDue(s *balancer.Signals, now int64) bool {
	return s == nil || now-max(s.Waiting.At, s.Running.At, s.KVCache.At) >= reportInterval
}
