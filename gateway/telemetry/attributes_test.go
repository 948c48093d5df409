package telemetry

import (
	"strings"
	"testing"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	"google.golang.org/grpc/codes"

	"github.com/penstock/penstock/gateway/dispatch"
	"github.com/penstock/penstock/gateway/openai"
	"github.com/penstock/penstock/gateway/route"
)

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"plain":                           "plain",
		"not UTF-8 \xff":                  "not UTF-8 \uFFFD",
		strings.Repeat("a", 300):          strings.Repeat("a", 256),
		strings.Repeat("a", 255) + "éé":   strings.Repeat("a", 255),
		"\xff" + strings.Repeat("a", 300): "\uFFFD" + strings.Repeat("a", 251),
	} {
		if got := text([]byte(in)); !utf8.ValidString(got) || got != want {
			t.Errorf("%q becomes %q, want %q", in, got, want)
		}
	}
}

func TestOperations(t *testing.T) {
	for target, want := range map[string]string{
		"POST /v1/chat/completions":          "chat",
		"POST /openai/v1/chat/completions?a": "chat",
		"POST /v1/completions":               "text_completion",
		"POST /v1/embeddings":                "embeddings",
		"POST /v1/responses":                 "chat",
		"POST /v1/messages":                  "chat",
		"GET /v1/chat/completions":           "",
		"POST /v1/rerank":                    "",
		"POST /x?/v1/completions":            "",
	} {
		var x dispatch.Exchange
		method, path, _ := strings.Cut(target, " ")
		x.Request.Method, x.Request.Path = []byte(method), []byte(path)
		got := ""
		if o := operationOf(&x); o != nil {
			got = o.name
		}
		if got != want {
			t.Errorf("%s is %q, want %q", target, got, want)
		}
	}
}

func TestUnknownMethodsAreNoNames(t *testing.T) {
	x := dispatch.Exchange{GRPCStatus: -1}
	x.Request.Method, x.Request.Path = []byte("BREW"), []byte("/pot")
	if name := requestName(&x); name != "HTTP" {
		t.Errorf("the span is called %q", name)
	}
	has(t, requestAttributes(&x, 0), map[string]string{"http.request.method": "_OTHER", "http.request.method_original": "BREW"})
	x.Request.Method = []byte("GET")
	has(t, requestAttributes(&x, 0), map[string]string{"http.request.method": "GET", "http.request.method_original": ""})
}

// has holds attributes against those that are wanted; "" wants one not to be there.
func has(t *testing.T, list []attribute.KeyValue, want map[string]string) {
	t.Helper()
	set := attribute.NewSet(list...)
	for name, value := range want {
		if got, there := set.Value(attribute.Key(name)); there != (value != "") || there && got.String() != value {
			t.Errorf("%s is %q, want %q", name, got.String(), value)
		}
	}
}

// Any client may call any name, and only those that a route takes are ones to count by.
func TestNamesOfCalls(t *testing.T) {
	routed := &dispatch.Route{Route: &route.Route{}}
	for _, c := range []struct {
		service string
		route   *dispatch.Route
		name    string
		want    map[string]string
	}{
		{"a.B", routed, "a.B/C", map[string]string{"rpc.method": "a.B/C", "rpc.method_original": ""}},
		{"a.B", nil, "grpc", map[string]string{"rpc.method": "_OTHER", "rpc.method_original": "a.B/C"}},
		{"grpc.health.v1.Health", nil, "grpc.health.v1.Health/C", map[string]string{"rpc.method": "grpc.health.v1.Health/C", "rpc.method_original": ""}},
	} {
		x := dispatch.Exchange{Route: c.route, GRPCStatus: 1}
		x.Request.Method, x.Request.Path, x.Request.GRPCService, x.Request.GRPCMethod = []byte("POST"), []byte("/a.B/C"), []byte(c.service), []byte("C")
		if got := requestName(&x); got != c.name {
			t.Errorf("%s is called %q, want %q", c.service, got, c.name)
		}
		c.want["rpc.system.name"], c.want["rpc.response.status_code"], c.want["http.response.status_code"] = "grpc", "CANCELLED", ""
		has(t, requestAttributes(&x, 499), c.want)
	}
}

func TestUsageIsWhatWasTold(t *testing.T) {
	for _, c := range []struct {
		usage                 openai.Usage
		input, cached, output string
	}{
		{openai.Usage{}, "", "", ""},
		{openai.Usage{PromptTokens: 8, Known: true}, "8", "", ""}, // embeddings
		{openai.Usage{PromptTokens: 8, CachedTokens: 4, CompletionTokens: 2, Known: true}, "8", "4", "2"},
	} {
		has(t, appendUsage(nil, &dispatch.Exchange{Usage: c.usage}), map[string]string{"gen_ai.usage.input_tokens": c.input,
			"gen_ai.usage.cache_read.input_tokens": c.cached, "gen_ai.usage.output_tokens": c.output})
	}
}

func TestProviderIsWhoseAPIItIs(t *testing.T) {
	for path, want := range map[string]string{"/v1/chat/completions": "openai", "/v1/embeddings": "openai", "/v1/messages": "anthropic", "/other": ""} {
		x := dispatch.Exchange{GRPCStatus: -1}
		x.Request.Method, x.Request.Path = []byte("POST"), []byte(path)
		has(t, requestAttributes(&x, 200), map[string]string{"gen_ai.provider.name": want})
	}
}

func TestCallStatuses(t *testing.T) {
	for code, want := range map[codes.Code]string{codes.OK: "OK", codes.Canceled: "CANCELLED", codes.DeadlineExceeded: "DEADLINE_EXCEEDED", codes.DataLoss: "DATA_LOSS",
		codes.OutOfRange: "OUT_OF_RANGE", codes.Code(99): "CODE(99)"} {
		if got := callStatus(code); got != want {
			t.Errorf("%v is %q, want %q", code, got, want)
		}
	}
}

func TestErrorsOfRequests(t *testing.T) {
	refusal := dispatch.NewReply(503, "no_endpoint", "", "", 0)
	for _, c := range []struct {
		name    string
		x       *dispatch.Exchange
		kind    string
		isError bool
	}{
		{"answered", &dispatch.Exchange{Status: 200, GRPCStatus: -1}, "", false},
		{"the client's mistake", &dispatch.Exchange{Status: 400, GRPCStatus: -1}, "", false},
		{"the endpoint's error", &dispatch.Exchange{Status: 500, GRPCStatus: -1}, "500", true},
		{"refused", &dispatch.Exchange{Status: 503, GRPCStatus: -1, Refusal: refusal, Outcome: dispatch.Refused}, "no_endpoint", true},
		{"refused a call", &dispatch.Exchange{Status: 503, GRPCStatus: 14, Refusal: refusal, Outcome: dispatch.Refused}, "no_endpoint", true},
		{"broken off", &dispatch.Exchange{Status: 200, GRPCStatus: -1, Outcome: dispatch.UpstreamBroken}, "upstream_broken", true},
		{"left", &dispatch.Exchange{Status: 499, GRPCStatus: -1, Outcome: dispatch.ClientGone, Refusal: dispatch.ClientLeft}, "client_gone", true},
		{"a call that its server cancelled", &dispatch.Exchange{Status: 499, GRPCStatus: 1}, "", false},
	} {
		if kind, isError := requestError(c.x); kind != c.kind || isError != c.isError {
			t.Errorf("%s: got %q, %v", c.name, kind, isError)
		}
	}
}
