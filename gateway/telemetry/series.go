package telemetry

import (
	"maps"
	"sync"
	"sync/atomic"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"

	"github.com/penstock/penstock/gateway/dispatch"
)

// series is how figures of requests of one kind are attributed. The library wants a set of attributes for each figure, and takes some 20
// allocations for those of a request; so each set is made once.
type series struct {
	durations     []metric.RecordOption // with error.type where the request failed
	successes     []metric.RecordOption
	input, output []metric.RecordOption
}

// seriesKey is what tells series apart. Its model is as the client wrote it.
type seriesKey struct {
	operation              *operation
	provider, model, error string
}

// seriesMap is the series that there are. Reading takes no lock; the few that write copy it.
type seriesMap struct {
	atomic.Pointer[map[seriesKey]*series]
	mu sync.Mutex
}

// seriesLimit bounds the series of each metric, since clients choose the names of models. The library counts what goes beyond as one.
const seriesLimit = 2000

// of returns the series of a request that failed with kind, which is empty for those that did not.
func (m *seriesMap) of(x *dispatch.Exchange, o *operation, kind string) *series {
	provider := o.providerOf(x)
	var model []byte
	if x.Request.ModelKnown {
		model = x.Request.Model[:min(len(x.Request.Model), longestText)]
	}
	if all := m.Load(); all != nil {
		if s := (*all)[seriesKey{o, provider, string(model), kind}]; s != nil {
			return s
		}
	}
	return m.add(seriesKey{o, provider, string(model), kind})
}

// add makes a series, and keeps it while there is room.
func (m *seriesMap) add(key seriesKey) *series {
	s := newSeries(&key)
	m.mu.Lock()
	defer m.mu.Unlock()
	next := make(map[seriesKey]*series)
	if all := m.Load(); all != nil {
		if len(*all) >= seriesLimit {
			return s
		}
		next = maps.Clone(*all)
	}
	next[key] = s
	m.Store(&next)
	return s
}

func newSeries(key *seriesKey) *series {
	list := []attribute.KeyValue{semconv.GenAIOperationNameKey.String(key.operation.name), semconv.GenAIProviderNameKey.String(key.provider)}
	if key.model != "" {
		list = append(list, semconv.GenAIRequestModel(text([]byte(key.model))))
	}
	with := func(more ...attribute.KeyValue) []metric.RecordOption {
		return []metric.RecordOption{metric.WithAttributeSet(attribute.NewSet(append(list[:len(list):len(list)], more...)...))}
	}
	s := &series{durations: with(), successes: with(), input: with(semconv.GenAITokenTypeInput), output: with(semconv.GenAITokenTypeOutput)}
	if key.error != "" {
		s.durations = with(semconv.ErrorTypeKey.String(key.error))
	}
	return s
}
