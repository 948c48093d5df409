package gateway

import (
	"log/slog"
	"net/http"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"github.com/penstock/penstock/gateway/live"
)

// newHub returns what the dashboard reads. It has events, which New has let the log fill.
func (g *Gateway) newHub(events *live.Events) *live.Hub {
	return live.NewHub(live.Source{Dispatcher: g.dispatcher, Status: g.liveStatus, Counters: g.metrics.counters, MayWatch: g.mayWatch}, events)
}

// watched is a log of which events are made, too.
func watched(logger *slog.Logger, events *live.Events) *slog.Logger {
	return slog.New(events.Handler(logger.Handler()))
}

// mayWatch says whether a request that watches has what it needs by what is in force now.
func (g *Gateway) mayWatch(r *http.Request) bool { return g.adminAccess.Load().judge(r) == denyNothing }

func (g *Gateway) liveStatus() live.Status {
	version, _ := Version()
	return live.Status{
		State: g.phase().String(), Version: version, Started: g.started,
		Generation: g.generation.Load(), Connections: g.slots.count(), Active: g.active(),
	}
}

// counters reads what the metrics count, so that what is shown costs requests nothing and agrees with what is scraped.
func (m *metrics) counters() *live.Counters {
	c := &live.Counters{Series: make(map[live.Key]*live.Series), Tokens: make(map[string]live.Tokens), Targets: m.targets.read()}
	of := func(labels map[string]string) *live.Series {
		k := live.Key{Route: labels["route"], Pool: labels["pool"]}
		if c.Series[k] == nil {
			c.Series[k] = new(live.Series)
		}
		return c.Series[k]
	}
	each(m.requests, func(labels map[string]string, v *dto.Metric) {
		s, n := of(labels), uint64(v.GetCounter().GetValue())
		s.Requests += n
		switch code := labels["code"]; {
		case code == "499":
			s.Aborts += n
		case code == "429" || code == "other" || strings.HasPrefix(code, "5"):
			s.Errors += n
		}
	})
	each(m.firstToken, func(labels map[string]string, v *dto.Metric) { addBuckets(&of(labels).TTFT, v.GetHistogram()) })
	each(m.perToken, func(labels map[string]string, v *dto.Metric) { addBuckets(&of(labels).TPOT, v.GetHistogram()) })
	each(m.tokens, func(labels map[string]string, v *dto.Metric) {
		t := c.Tokens[labels["pool"]]
		switch labels["kind"] {
		case "prompt":
			t.Prompt += v.GetCounter().GetValue()
		case "completion":
			t.Output += v.GetCounter().GetValue()
		}
		c.Tokens[labels["pool"]] = t
	})
	return c
}

// each calls yield with the series of a metric. What cannot be read is left out.
func each(c prometheus.Collector, yield func(labels map[string]string, v *dto.Metric)) {
	series := make(chan prometheus.Metric, 64)
	go func() {
		defer close(series)
		c.Collect(series)
	}()
	for one := range series {
		var v dto.Metric
		if one.Write(&v) != nil {
			continue
		}
		labels := make(map[string]string, len(v.Label))
		for _, l := range v.Label {
			labels[l.GetName()] = l.GetValue()
		}
		yield(labels, &v)
	}
}

// addBuckets adds a histogram's counts, which Prometheus adds up from bucket to bucket.
func addBuckets(to *live.Histogram, h *dto.Histogram) {
	if len(to.Counts) == 0 {
		to.Bounds, to.Counts = make([]float64, len(h.Bucket)), make([]uint64, len(h.Bucket)+1)
		for i, b := range h.Bucket {
			to.Bounds[i] = b.GetUpperBound()
		}
	}
	below := uint64(0)
	for i, b := range h.Bucket {
		to.Counts[i] += b.GetCumulativeCount() - below
		below = b.GetCumulativeCount()
	}
	to.Counts[len(h.Bucket)] += h.GetSampleCount() - below
}
