package telemetry

import (
	"bytes"
	"strings"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"

	"github.com/penstock/penstock/gateway/dispatch"
)

// operation is a path of an API, and what the conventions for generative AI call what is asked for there and whose API that is.
type operation struct{ path, name, provider string }

var operations = []operation{
	{"/v1/chat/completions", "chat", "openai"},
	{"/v1/completions", "text_completion", "openai"},
	{"/v1/embeddings", "embeddings", "openai"},
	{"/v1/responses", "chat", "openai"},
	{"/v1/messages", "chat", "anthropic"},
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

// modelAsked is the model that a request names, where a route had to look for that or its body was there in time.
func modelAsked(x *dispatch.Exchange) string {
	if x.Request.ModelKnown {
		return text(x.Request.Model)
	}
	asked, _ := x.TracedModels()
	return text([]byte(asked))
}

// modelSent is the model that the endpoint is asked for.
func modelSent(x *dispatch.Exchange) string {
	asked := modelAsked(x)
	if asked != "" && x.Target != nil && x.Target.Model != "" {
		return x.Target.Model
	}
	return asked
}

// providerOf is gen_ai.provider.name: the model server where the pool's configuration names it, else whose API it speaks.
func (o *operation) providerOf(x *dispatch.Exchange) string {
	if x.Pool != nil {
		if engine := x.Pool.Config().Engine; engine != "none" && engine != "dcgm" && engine != "" {
			return engine
		}
	}
	return o.provider
}

// appendModel appends what is asked of which model.
func appendModel(list []attribute.KeyValue, x *dispatch.Exchange, model string) []attribute.KeyValue {
	if o := operationOf(x); o != nil {
		list = append(list, semconv.GenAIOperationNameKey.String(o.name), semconv.GenAIProviderNameKey.String(o.providerOf(x)))
	}
	if model != "" {
		list = append(list, semconv.GenAIRequestModel(model))
	}
	return list
}

// appendAnswer appends what the response says of the model that made it, and of the tokens that it took.
func appendAnswer(list []attribute.KeyValue, x *dispatch.Exchange) []attribute.KeyValue {
	if _, model := x.TracedModels(); model != "" {
		list = append(list, semconv.GenAIResponseModel(text([]byte(model))))
	}
	return appendUsage(list, x)
}

// appendUsage appends how many tokens the response says that it took. What it does not say, as embeddings do not of output, counts as 0 there.
func appendUsage(list []attribute.KeyValue, x *dispatch.Exchange) []attribute.KeyValue {
	u := &x.Usage
	if u.PromptTokens > 0 {
		list = append(list, semconv.GenAIUsageInputTokens(int(u.PromptTokens)))
	}
	if u.CachedTokens > 0 {
		list = append(list, semconv.GenAIUsageCacheReadInputTokens(int(u.CachedTokens)))
	}
	if u.CompletionTokens > 0 {
		list = append(list, semconv.GenAIUsageOutputTokens(int(u.CompletionTokens)))
	}
	return list
}
