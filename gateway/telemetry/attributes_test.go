package telemetry

import (
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/grpc/codes"

	"github.com/penstock/penstock/gateway/dispatch"
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
	var x dispatch.Exchange
	x.Request.Method, x.Request.Path = []byte("BREW"), []byte("/pot")
	if name := requestName(&x); name != "HTTP" {
		t.Errorf("the span is called %q", name)
	}
}

func TestCallErrors(t *testing.T) {
	for code, want := range map[codes.Code]string{codes.Canceled: "CANCELED", codes.DeadlineExceeded: "DEADLINE_EXCEEDED", codes.DataLoss: "DATA_LOSS",
		codes.OutOfRange: "OUT_OF_RANGE", codes.Code(99): "CODE(99)"} {
		if got := callError(code); got != want {
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
