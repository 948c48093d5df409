package telemetry

import (
	"bytes"
	"net"
	"strconv"
	"strings"
	"unicode/utf8"

	"go.opentelemetry.io/otel/attribute"
	semconv "go.opentelemetry.io/otel/semconv/v1.41.0"
	"google.golang.org/grpc/codes"

	"github.com/penstock/penstock/gateway/dispatch"
)

// What Penstock calls what the conventions have no name for.
const (
	keyRoute       = attribute.Key("penstock.route")
	keyPool        = attribute.Key("penstock.pool")
	keyEndpoint    = attribute.Key("penstock.endpoint")
	keyQueueWait   = attribute.Key("penstock.queue_wait_ms")
	keyRetryReason = attribute.Key("penstock.retry_reason")
	keyAttempts    = attribute.Key("penstock.attempts")
	keyRefusal     = attribute.Key("penstock.refusal")
	keyOutcome     = attribute.Key("penstock.outcome")

	eventQueued     = "penstock.queued"
	eventDequeued   = "penstock.dequeued"
	eventHead       = "penstock.response_head"
	eventFirstToken = "penstock.first_token"
)

// longestText is how much of what a client has written, such as a path, an attribute holds, in bytes.
const longestText = 256

// text makes an attribute's value of bytes that may be anything. OTLP takes UTF-8 only.
func text(b []byte) string {
	s := string(b[:min(len(b), longestText)])
	if len(b) > longestText { // not in the middle of a character
		for i := 0; i < utf8.UTFMax && !utf8.ValidString(s); i++ {
			s = s[:len(s)-1]
		}
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// methods are those that have names in attributes; clients may send any.
var methods = map[string]attribute.KeyValue{
	"CONNECT": semconv.HTTPRequestMethodConnect, "DELETE": semconv.HTTPRequestMethodDelete, "GET": semconv.HTTPRequestMethodGet,
	"HEAD": semconv.HTTPRequestMethodHead, "OPTIONS": semconv.HTTPRequestMethodOptions, "PATCH": semconv.HTTPRequestMethodPatch,
	"POST": semconv.HTTPRequestMethodPost, "PUT": semconv.HTTPRequestMethodPut, "TRACE": semconv.HTTPRequestMethodTrace,
}

// isCall reports whether a request is a gRPC call.
func isCall(x *dispatch.Exchange) bool { return len(x.Request.GRPCService) > 0 }

// requestName is the name of a request's span: few enough, whatever clients send.
func requestName(x *dispatch.Exchange) string {
	if isCall(x) {
		return callName(x)
	}
	name := methodName(x)
	if o := operationOf(x); o != nil {
		return name + " " + o.path
	}
	return name
}

// attemptName is the name of an attempt's span: for what the conventions for generative AI know, the operation and the model.
func attemptName(x *dispatch.Exchange) string {
	if isCall(x) {
		return callName(x)
	}
	o := operationOf(x)
	if o == nil {
		return methodName(x)
	}
	if model := modelSent(x); model != "" {
		return o.name + " " + model
	}
	return o.name
}

func callName(x *dispatch.Exchange) string {
	if !knownCall(x) {
		return "grpc"
	}
	return fullMethod(x)
}

// fullMethod is a call's name as the conventions for RPC have it, such as inference.GRPCInferenceService/ModelInfer.
func fullMethod(x *dispatch.Exchange) string {
	return text(x.Request.GRPCService) + "/" + text(x.Request.GRPCMethod)
}

// knownCall reports whether a call is one that is served here. Any client may call any name.
func knownCall(x *dispatch.Exchange) bool {
	return x.Route != nil || string(x.Request.GRPCService) == healthService
}

// healthService is what the gateway answers itself.
const healthService = "grpc.health.v1.Health"

func methodName(x *dispatch.Exchange) string {
	if _, known := methods[string(x.Request.Method)]; known {
		return string(x.Request.Method)
	}
	return "HTTP"
}

// requestAttributes are those of a request's span, at its end; status is what the client got, 0 for none.
func requestAttributes(x *dispatch.Exchange, status int) []attribute.KeyValue {
	list := make([]attribute.KeyValue, 0, 24)
	list = appendHTTP(list, x, x.Request.Path)
	list = append(list, semconv.URLScheme(scheme(x)), semconv.NetworkProtocolVersion(strings.TrimPrefix(x.Protocol, "HTTP/")))
	if o := operationOf(x); o != nil {
		list = append(list, semconv.HTTPRoute(o.path))
	}
	list = appendModel(list, x, modelAsked(x))
	list = appendStatus(list, x, status)
	list = appendAnswer(list, x)
	if x.Route != nil {
		list = append(list, keyRoute.String(x.Route.Name))
	}
	if x.Pool != nil {
		list = append(list, keyPool.String(x.Pool.Name), keyQueueWait.Float64(milliseconds(x.Queued)), keyAttempts.Int(x.Attempts))
	}
	if x.Endpoint != nil {
		list = append(list, keyEndpoint.String(x.Endpoint.Address))
	}
	if x.Refusal != nil && x.Refusal.Code != "" {
		list = append(list, keyRefusal.String(x.Refusal.Code))
	}
	return append(list, keyOutcome.String(x.Outcome.String()))
}

// attemptAttributes are those of an attempt's span, at its beginning; failed is how the attempt before it ended.
func attemptAttributes(x *dispatch.Exchange, failed dispatch.Outcome) []attribute.KeyValue {
	list := make([]attribute.KeyValue, 0, 16)
	path := x.Route.AppendPath(nil, x.Request.Path)
	list = appendHTTP(list, x, path)
	if !isCall(x) {
		list = append(list, semconv.URLFull(urlOf(x.Endpoint, path)))
	}
	list = appendModel(list, x, modelSent(x))
	list = append(list, keyPool.String(x.Pool.Name), keyEndpoint.String(x.Endpoint.Address))
	if host, port, err := net.SplitHostPort(x.Endpoint.Address); err == nil {
		list = append(list, semconv.ServerAddress(host))
		if n, err := strconv.Atoi(port); err == nil {
			list = append(list, semconv.ServerPort(n))
		}
	}
	if x.Attempts > 1 {
		list = append(list, semconv.HTTPRequestResendCount(x.Attempts-1), keyRetryReason.String(failed.String()))
	}
	return list
}

// answerAttributes are those of an attempt's span that its end tells.
func answerAttributes(x *dispatch.Exchange, e *dispatch.AttemptEnd) []attribute.KeyValue {
	list := make([]attribute.KeyValue, 0, 4)
	list = append(list, keyOutcome.String(e.Outcome.String()))
	if !answeredBy(x, e) {
		return list
	}
	return appendAnswer(appendStatus(list, x, x.Status), x)
}

// appendHTTP appends what a request is; of a path the query is left out, as it may hold secrets.
func appendHTTP(list []attribute.KeyValue, x *dispatch.Exchange, path []byte) []attribute.KeyValue {
	if len(x.Request.Method) == 0 { // its head could not be read
		return list
	}
	if method, known := methods[string(x.Request.Method)]; known {
		list = append(list, method)
	} else {
		list = append(list, semconv.HTTPRequestMethodOther, semconv.HTTPRequestMethodOriginal(text(x.Request.Method)))
	}
	path, _, _ = bytes.Cut(path, question)
	list = append(list, semconv.URLPath(text(path)))
	switch {
	case !isCall(x):
		return list
	case knownCall(x):
		return append(list, semconv.RPCSystemNameGRPC, semconv.RPCMethod(fullMethod(x)))
	}
	return append(list, semconv.RPCSystemNameGRPC, semconv.RPCMethod("_OTHER"), semconv.RPCMethodOriginal(fullMethod(x)))
}

var question = []byte("?")

// urlOf is what an endpoint is asked for, without its query.
func urlOf(e *dispatch.Endpoint, path []byte) string {
	scheme := "http"
	if e.Config.TLS != nil {
		scheme = "https"
	}
	path, _, _ = bytes.Cut(path, question)
	return scheme + "://" + e.Address + text(path)
}

// appendStatus appends the status of a response. That of a call stands in its trailers, and is not the one of HTTP.
func appendStatus(list []attribute.KeyValue, x *dispatch.Exchange, status int) []attribute.KeyValue {
	switch {
	case x.GRPCStatus >= 0:
		return append(list, semconv.RPCResponseStatusCode(callStatus(codes.Code(x.GRPCStatus))))
	case isCall(x) || status == 0:
		return list
	}
	return append(list, semconv.HTTPResponseStatusCode(status))
}

func scheme(x *dispatch.Exchange) string {
	if x.Secure {
		return "https"
	}
	return "http"
}
