// Package clients tests the gateway with the clients that people use: OpenAI's official Go client, and curl.
package clients

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"go.uber.org/goleak"

	"github.com/penstock/penstock/bench/mock"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds how long a test waits for something that should happen at once.
const patience = 10 * time.Second

// setup is a gateway with one mock replica, and a client for it.
type setup struct {
	replica *mock.Server
	url     string
	client  openai.Client
}

func start(t *testing.T) *setup {
	t.Helper()
	replica, err := mock.New(mock.Options{Speed: 20, IdleTimeout: -1})
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := replica.Start(l); err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse("test.yaml", []byte(`
listen: 127.0.0.1:0
admin: 127.0.0.1:0
accessLog: {enabled: false}
shutdown: {lameDuck: 0s, drain: 5s}
pools:
  llama: {endpoints: ["http://`+replica.Addr()+`"]}
routes:
  - match: {model: llama-3-8b}
    split: [{pool: llama}]
  - match: {model: gpt-4}
    split: [{pool: llama, model: llama-3-8b}]
  - match: {path: /health}
    split: [{pool: llama}]
`))
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateway.New(c, gateway.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Listen(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- g.Run(ctx) }()
	transport := &http.Transport{}
	s := &setup{replica: replica, url: "http://" + g.Addr().String()}
	s.client = openai.NewClient(option.WithBaseURL(s.url+"/v1"), option.WithAPIKey("none"), option.WithMaxRetries(0),
		option.WithHTTPClient(&http.Client{Transport: transport}))
	t.Cleanup(func() {
		transport.CloseIdleConnections()
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the gateway ended with %v", err)
		}
		replica.Close()
	})
	return s
}

func chat(model string, tokens int64) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:     model,
		MaxTokens: openai.Int(tokens),
		Messages:  []openai.ChatCompletionMessageParamUnion{openai.UserMessage("Why is the sky blue?")},
	}
}

func TestOpenAIChat(t *testing.T) {
	s := start(t)
	for _, model := range []string{"llama-3-8b", "gpt-4"} {
		res, err := s.client.Chat.Completions.New(t.Context(), chat(model, 12))
		if err != nil {
			t.Fatalf("%s: %v", model, err)
		}
		if res.Usage.CompletionTokens != 12 || res.Choices[0].Message.Content == "" {
			t.Errorf("%s: got %d tokens and %q, want 12 tokens of text", model, res.Usage.CompletionTokens, res.Choices[0].Message.Content)
		}
	}
}

func TestOpenAIStream(t *testing.T) {
	s := start(t)
	params := chat("llama-3-8b", 30)
	params.StreamOptions = openai.ChatCompletionStreamOptionsParam{IncludeUsage: openai.Bool(true)}
	stream := s.client.Chat.Completions.NewStreaming(t.Context(), params)
	defer stream.Close()
	var text strings.Builder
	var tokens int64
	pieces := 0
	for stream.Next() {
		chunk := stream.Current()
		tokens = max(tokens, chunk.Usage.CompletionTokens)
		for _, c := range chunk.Choices {
			if c.Delta.Content != "" {
				pieces++
				text.WriteString(c.Delta.Content)
			}
		}
	}
	if err := stream.Err(); err != nil {
		t.Fatal(err)
	}
	if tokens != 30 || pieces < 29 || text.Len() == 0 {
		t.Errorf("%d tokens in %d pieces, %d bytes; want 30 tokens, one a piece", tokens, pieces, text.Len())
	}
}

func TestOpenAICancelMidStreamFreesTheReplica(t *testing.T) {
	s := start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	stream := s.client.Chat.Completions.NewStreaming(ctx, chat("llama-3-8b", 100_000))
	defer stream.Close()
	for range 5 {
		if !stream.Next() {
			t.Fatalf("the stream ended early: %v", stream.Err())
		}
	}
	cancel()
	s.awaitCancelled(t, 1)
	for stream.Next() {
	}
	if err := stream.Err(); !errors.Is(err, context.Canceled) {
		t.Errorf("the stream ended with %v, want context.Canceled", err)
	}
}

// awaitCancelled waits until the replica has cancelled n requests and runs none.
func (s *setup) awaitCancelled(t *testing.T, n int64) {
	t.Helper()
	deadline := time.After(patience)
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for {
		if r := s.replica.State().Requests; r.Cancelled == n && r.Running == 0 {
			return
		}
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("the replica still works for a client that has left: %+v", s.replica.State().Requests)
		}
	}
}

func TestOpenAIErrors(t *testing.T) {
	s := start(t)
	_, err := s.client.Chat.Completions.New(t.Context(), chat("no-such-model", 5))
	var apiErr *openai.Error
	if !errors.As(err, &apiErr) {
		t.Fatalf("got %v, want an API error", err)
	}
	if apiErr.StatusCode != 404 || apiErr.Code != "model_not_found" || !strings.Contains(apiErr.Message, "no-such-model") {
		t.Errorf("got status %d, code %q, message %q; want 404 model_not_found naming the model", apiErr.StatusCode, apiErr.Code, apiErr.Message)
	}
	params := chat("llama-3-8b", 5)
	params.Messages = nil
	_, err = s.client.Chat.Completions.New(t.Context(), params)
	if !errors.As(err, &apiErr) || apiErr.StatusCode != 400 {
		t.Errorf("a request without messages gave %v, want the replica's 400", err)
	}
}

func TestOpenAIModels(t *testing.T) {
	s := start(t)
	page, err := s.client.Models.List(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	ids := make(map[string]bool)
	for _, m := range page.Data {
		ids[m.ID] = true
	}
	if !ids["llama-3-8b"] || !ids["gpt-4"] {
		t.Errorf("the models are %v, want llama-3-8b and its alias gpt-4", ids)
	}
	one, err := s.client.Models.Get(t.Context(), "llama-3-8b")
	if err != nil || one.ID != "llama-3-8b" {
		t.Errorf("getting llama-3-8b gave %v, %v", one, err)
	}
}
