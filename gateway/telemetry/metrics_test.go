package telemetry

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/attribute"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"

	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/openai"
	"github.com/penstock/penstock/gateway/route"
)

// counted is metrics that a test reads by itself.
type counted struct {
	*Metrics
	reader *sdkmetric.ManualReader
}

func newCounted(t testing.TB) *counted {
	c := &counted{reader: sdkmetric.NewManualReader()}
	c.Metrics = metricsWith(c.reader, nil)
	t.Cleanup(func() { c.close(context.Background()) })
	return c
}

// lines are all series, as "name{unit} count sum attributes".
func (c *counted) lines(t *testing.T) (list []string) {
	t.Helper()
	var all metricdata.ResourceMetrics
	if err := c.reader.Collect(context.Background(), &all); err != nil {
		t.Fatal(err)
	}
	add := func(m metricdata.Metrics, n uint64, sum any, set attribute.Set) {
		list = append(list, fmt.Sprintf("%s{%s} %d %v %s", m.Name, m.Unit, n, sum, set.Encoded(attribute.DefaultEncoder())))
	}
	for _, scope := range all.ScopeMetrics {
		for _, m := range scope.Metrics {
			switch data := m.Data.(type) {
			case metricdata.Histogram[float64]:
				for _, p := range data.DataPoints {
					add(m, p.Count, p.Sum, p.Attributes)
				}
			case metricdata.Histogram[int64]:
				for _, p := range data.DataPoints {
					add(m, p.Count, p.Sum, p.Attributes)
				}
			default:
				t.Errorf("%s is a %T", m.Name, data)
			}
		}
	}
	slices.Sort(list)
	return list
}

// streamed is a request that was answered by a stream: the first of 9 tokens after 0.2 s, the last after 2.2 s.
func streamed() *dispatch.Exchange {
	x := &dispatch.Exchange{Route: &dispatch.Route{Route: &route.Route{}}, Status: 200, GRPCStatus: -1, Streamed: true, Events: 10,
		Usage: openai.Usage{PromptTokens: 100, CompletionTokens: 9, Known: true}}
	x.Request.Method, x.Request.Path = methodPOST, pathChat
	x.Request.Model, x.Request.ModelKnown = []byte("llama"), true
	at := func(tenths int64) int64 { return tenths * int64(time.Second) / 10 }
	x.Started, x.FirstToken, x.LastToken, x.Finished = at(10), at(12), at(32), at(35)
	return x
}

func TestMetricsOfARequest(t *testing.T) {
	const chat = "gen_ai.operation.name=chat,gen_ai.provider.name=openai,gen_ai.request.model=llama"
	whole := func(attributes string) []string {
		return []string{"gen_ai.client.operation.duration{s} 1 2.5 " + attributes, "gen_ai.server.request.duration{s} 1 2.5 " + attributes}
	}
	tokens := func(kind string, n int) string {
		return fmt.Sprintf("gen_ai.client.token.usage{{token}} 1 %d %s,gen_ai.token.type=%s", n, chat, kind)
	}
	firstToken := "gen_ai.server.time_to_first_token{s} 1 0.2 " + chat
	for _, c := range []struct {
		name   string
		change func(x *dispatch.Exchange)
		want   []string
	}{
		{"streamed", func(*dispatch.Exchange) {}, append(whole(chat), tokens("input", 100), tokens("output", 9), firstToken,
			"gen_ai.server.time_per_output_token{s} 1 0.25 "+chat)},
		{"without usage", func(x *dispatch.Exchange) { x.Usage = openai.Usage{} }, append(whole(chat), firstToken,
			"gen_ai.server.time_per_output_token{s} 1 0.2222222222222222 "+chat)},
		{"one token", func(x *dispatch.Exchange) { x.Usage.CompletionTokens, x.LastToken = 1, x.FirstToken },
			append(whole(chat), tokens("input", 100), tokens("output", 1), firstToken)},
		{"not streamed", func(x *dispatch.Exchange) { x.Streamed = false }, append(whole(chat), tokens("input", 100), tokens("output", 9))},
		{"no output", func(x *dispatch.Exchange) { x.Streamed, x.Usage.CompletionTokens = false, 0 }, append(whole(chat), tokens("input", 100))},
		// A stream that broke off has used tokens, and says nothing of how fast successful ones are.
		{"broken off", func(x *dispatch.Exchange) { x.Outcome = dispatch.UpstreamBroken },
			append(whole("error.type=upstream_broken,"+chat), tokens("input", 100), tokens("output", 9))},
		{"failed", func(x *dispatch.Exchange) { x.Status, x.Streamed, x.Usage = 500, false, openai.Usage{} }, whole("error.type=500," + chat)},
		{"refused by the endpoint", func(x *dispatch.Exchange) { x.Status, x.Streamed, x.Usage = 429, false, openai.Usage{} }, whole("error.type=429," + chat)},
		{"refused here", func(x *dispatch.Exchange) {
			x.Status, x.Streamed, x.Usage, x.Outcome, x.Refusal = 429, false, openai.Usage{}, dispatch.Refused, dispatch.NewReply(429, "queue_full", "", "", 1)
		}, whole("error.type=queue_full," + chat)},
		{"no model", func(x *dispatch.Exchange) { x.Request.ModelKnown, x.Streamed, x.Usage = false, false, openai.Usage{} },
			whole("gen_ai.operation.name=chat,gen_ai.provider.name=openai")},
		{"no such path", func(x *dispatch.Exchange) { x.Request.Path = []byte("/metrics") }, nil},
		{"no route", func(x *dispatch.Exchange) { x.Route = nil }, nil},
	} {
		m, x := newCounted(t), streamed()
		c.change(x)
		m.Finished(x)
		slices.Sort(c.want)
		if got := m.lines(t); !slices.Equal(got, c.want) {
			t.Errorf("%s: counted\n%s\nwant\n%s", c.name, strings.Join(got, "\n"), strings.Join(c.want, "\n"))
		}
	}
}

// TestModelsOfClientsAreBounded has a client ask for more models than there is room for.
func TestModelsOfClientsAreBounded(t *testing.T) {
	m, x := newCounted(t), streamed()
	for i := range seriesLimit + 500 {
		x.Request.Model = fmt.Appendf(nil, "%d-%s", i, strings.Repeat("m", 1000))
		m.Finished(x)
	}
	if n := len(*m.series.Load()); n != seriesLimit {
		t.Errorf("%d series are kept, want %d", n, seriesLimit)
	}
	perName := make(map[string]int)
	for _, line := range m.lines(t) {
		name, _, _ := strings.Cut(line, "{")
		perName[name]++
		if len(line) > 600 {
			t.Fatalf("a series is %d bytes long", len(line))
		}
	}
	for name, n := range perName {
		if n > seriesLimit {
			t.Errorf("%s has %d series, want %d at most", name, n, seriesLimit)
		}
	}
	if len(perName) != 5 {
		t.Errorf("there are %d metrics, want 5", len(perName))
	}
}

func TestMetricsAllocateNothing(t *testing.T) {
	for name, change := range map[string]func(x *dispatch.Exchange){
		"streamed": func(*dispatch.Exchange) {}, "broken off": func(x *dispatch.Exchange) { x.Outcome = dispatch.UpstreamBroken },
	} {
		m, x := newCounted(t), streamed()
		change(x)
		if n := testing.AllocsPerRun(1000, func() { m.Finished(x) }); n != 0 {
			t.Errorf("%s: a request allocates %v times, want 0", name, n)
		}
	}
}

func BenchmarkMetrics(b *testing.B) {
	m, x := newCounted(b), streamed()
	b.ReportAllocs()
	for b.Loop() {
		m.Finished(x)
	}
}
