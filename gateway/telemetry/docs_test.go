package telemetry

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/openai"
)

// keys notes which attributes spans have, by their kind.
type keys map[trace.SpanKind]map[string]bool

func (k keys) ExportSpans(_ context.Context, spans []sdktrace.ReadOnlySpan) error {
	for _, s := range spans {
		if k[s.SpanKind()] == nil {
			k[s.SpanKind()] = make(map[string]bool)
		}
		for _, a := range s.Attributes() {
			k[s.SpanKind()][string(a.Key)] = true
		}
	}
	return nil
}

func (keys) Shutdown(context.Context) error { return nil }

// TestAttributesAreDocumented holds the table of docs/tracing.md against the spans of requests that have between them whatever spans can have.
func TestAttributesAreDocumented(t *testing.T) {
	sent := keys{}
	tr := tracerTo(sent, 100, new(bytes.Buffer))
	c, err := config.Parse("test.yaml", []byte("pools: {main: {endpoints: [\"http://127.0.0.1:1\"], retry: {attempts: 1, budgetPercent: 100}}}\n"))
	if err != nil {
		t.Fatal(err)
	}
	d := dispatch.New(dispatch.Options{NewUpstream: func(dispatch.EndpointConfig) dispatch.Upstream { return idle{} }, Tracer: tr})
	defer d.Close()
	if err := d.Apply(c); err != nil {
		t.Fatal(err)
	}
	x := new(dispatch.Exchange)
	for _, change := range []func(){
		func() {
			x.Request.Path = pathChat
			x.TraceRequest(nil, []byte(`{"model":"llama"}`))
		},
		func() { x.Request.Method, x.Request.Path = []byte("BREW"), []byte("/") },
		func() { x.Request.GRPCService, x.Request.GRPCMethod, x.GRPCStatus = []byte("a.B"), []byte("C"), 0 },
	} {
		begin(x, d)
		change()
		if action, _ := x.Match(); action != dispatch.Forward || x.Admit() != nil {
			t.Fatal("the request is not forwarded")
		}
		x.Failed(errors.New("unplugged"))
		if reply := x.Retry(dispatch.ConnectFailed, true); reply != nil {
			t.Fatal(reply.Message)
		}
		x.FirstByte()
		x.TraceResponse([]byte(`{"model":"llama"}`))
		x.Status, x.Usage = 200, openai.Usage{PromptTokens: 3, CachedTokens: 2, CompletionTokens: 1, Known: true}
		x.Finish(dispatch.Completed)
	}
	begin(x, d)
	x.Request.GRPCService, x.Request.GRPCMethod = []byte("a.B"), []byte("C")
	x.Refusal, x.Status, x.GRPCStatus = dispatch.NewReply(404, "route_not_found", "", "", 0), 404, 12
	x.Finish(dispatch.Refused)
	if err := tr.close(context.Background()); err != nil {
		t.Fatal(err)
	}
	for kind, documented := range documentedAttributes(t) {
		if got, want := slices.Sorted(maps.Keys(sent[kind])), slices.Sorted(maps.Keys(documented)); !slices.Equal(got, want) {
			t.Errorf("%v spans have\n%s\ndocs/tracing.md says\n%s", kind, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

func begin(x *dispatch.Exchange, d *dispatch.Dispatcher) {
	x.Reset(d)
	x.Started, x.Protocol, x.Request.Method, x.Request.Path = dispatch.Now(), "HTTP/2", methodPOST, []byte("/other")
	x.BeginTrace()
}

func documentedAttributes(t *testing.T) keys {
	t.Helper()
	doc, err := os.ReadFile("../../docs/tracing.md")
	if err != nil {
		t.Fatal(err)
	}
	found := keys{trace.SpanKindServer: {}, trace.SpanKindClient: {}}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[a-z_.`, ]+`) \\| ([a-z]*) ?\\| ([a-z]*) ?\\| ").FindAllSubmatch(doc, -1) {
		for _, name := range regexp.MustCompile("[a-z_.]+").FindAllString(string(row[1]), -1) {
			if len(row[2]) > 0 {
				found[trace.SpanKindServer][name] = true
			}
			if len(row[3]) > 0 {
				found[trace.SpanKindClient][name] = true
			}
		}
	}
	return found
}
