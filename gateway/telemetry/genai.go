package telemetry

import (
	"bytes"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.38.0"

	"github.com/penstock/penstock/gateway/dispatch"
)

// operation is a path of OpenAI's and Anthropic's APIs, and what the conventions for generative AI call what is asked for there.
type operation struct{ path, name string }

var operations = []operation{
	{"/v1/chat/completions", "chat"},
	{"/v1/completions", "text_completion"},
	{"/v1/embeddings", "embeddings"},
	{"/v1/responses", "chat"},
	{"/v1/messages", "chat"},
}

// operationOf is what a request asks for; nil where that is not known. A path that ends like one of the list's, as behind a prefix, counts as
// that.
func operationOf(x *dispatch.Exchange) *operation {
	if string(x.Request.Method) != "POST" {
		return nil
	}
	path, _, _ := bytes.Cut(x.Request.Path, question)
	for i := range operations {
		if o := &operations[i]; strings.HasSuffix(string(path), o.path) {
			return o
		}
	}
	return nil
}

// modelAsked is the model that a request names, where a route had to look for that.
func modelAsked(x *dispatch.Exchange) string {
	if !x.Request.ModelKnown {
		return ""
	}
	return text(x.Request.Model)
}

// modelSent is the model that the endpoint is asked for.
func modelSent(x *dispatch.Exchange) string {
	asked := modelAsked(x)
	if asked != "" && x.Target != nil && x.Target.Model != "" {
		return x.Target.Model
	}
	return asked
}

// provider is gen_ai.provider.name: the model server where the pool's configuration names it, else whose API it speaks.
func provider(x *dispatch.Exchange) string {
	if x.Pool != nil {
		if engine := x.Pool.Config().Engine; engine != "none" && engine != "dcgm" && engine != "" {
			return engine
		}
	}
	return "openai"
}

// appendModel appends what is asked of which model.
func appendModel(list []attribute.KeyValue, x *dispatch.Exchange, model string) []attribute.KeyValue {
	if o := operationOf(x); o != nil {
		list = append(list, semconv.GenAIOperationNameKey.String(o.name), semconv.GenAIProviderNameKey.String(provider(x)))
	}
	if model != "" {
		list = append(list, semconv.GenAIRequestModel(model))
	}
	return list
}

// appendUsage appends how many tokens the response says that it took.
func appendUsage(list []attribute.KeyValue, x *dispatch.Exchange) []attribute.KeyValue {
	if u := &x.Usage; u.Known {
		list = append(list, semconv.GenAIUsageInputTokens(int(u.PromptTokens)), semconv.GenAIUsageOutputTokens(int(u.CompletionTokens)))
	}
	return list
}
