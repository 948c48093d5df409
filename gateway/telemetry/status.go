package telemetry

import (
	"net/http"
	"strconv"
	"strings"

	"google.golang.org/grpc/codes"

	"github.com/penstock/penstock/gateway/dispatch"
)

// requestError says what error.type a request has, empty for none, and whether that makes its span one with an error. For a server's span the
// conventions have it so of statuses from 500 on, of those of gRPC that are the server's fault, and of responses that broke off; a client's
// mistake, such as a model that is not served, is none.
func requestError(x *dispatch.Exchange) (kind string, isError bool) {
	isCall := x.GRPCStatus >= 0
	switch {
	case x.Outcome == dispatch.ClientGone:
		kind, isError = x.Outcome.String(), true
	case isCall:
		isError = isServerFault(codes.Code(x.GRPCStatus))
	default:
		isError = x.Status >= http.StatusInternalServerError
	}
	switch {
	case kind != "":
	case x.Refusal != nil && x.Refusal.Code != "":
		kind = x.Refusal.Code
	case x.Outcome != dispatch.Completed && x.Outcome != dispatch.Refused:
		kind, isError = x.Outcome.String(), true
	case isError && isCall:
		kind = callStatus(codes.Code(x.GRPCStatus))
	case isError:
		kind = strconv.Itoa(x.Status)
	}
	// A response of status 200 that broke off is an error whatever it began with.
	return kind, isError || x.Outcome.IsFault()
}

// operationError says what error.type an operation of generative AI has; empty for none. Whoever asked for it has got nothing of a request that a
// model server refused as of one that the gateway did.
func operationError(x *dispatch.Exchange) string {
	if kind, _ := requestError(x); kind != "" {
		return kind
	}
	if x.Status >= http.StatusBadRequest {
		return strconv.Itoa(x.Status)
	}
	return ""
}

// attemptError says what error.type an attempt has; empty if it has none. For a client's span any status is an error that says one.
func attemptError(x *dispatch.Exchange, e *dispatch.AttemptEnd) string {
	switch {
	case e.Outcome != dispatch.Completed:
		return e.Outcome.String()
	case x.GRPCStatus > 0:
		return callStatus(codes.Code(x.GRPCStatus))
	case x.GRPCStatus < 0 && x.Status >= http.StatusBadRequest:
		return strconv.Itoa(x.Status)
	}
	return ""
}

// connectProblem is why no connection could be made. Other errors may quote what a client sent, and are told by their kind alone.
func connectProblem(e *dispatch.AttemptEnd) string {
	if e.Outcome != dispatch.ConnectFailed || e.Cause == nil {
		return ""
	}
	return e.Cause.Error()
}

// answeredBy reports whether x.Status is what the endpoint of an attempt said, and no answer of the gateway's own.
func answeredBy(x *dispatch.Exchange, e *dispatch.AttemptEnd) bool {
	return e.FirstByte != 0 && x.Status != 0 && (x.Refusal == nil || x.Refusal.Status != x.Status)
}

// isServerFault reports whether a gRPC status makes a server's span one with an error.
func isServerFault(c codes.Code) bool {
	switch c {
	case codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss:
		return true
	}
	return false
}

// callStatus is a gRPC status as the conventions and gRPC's own documents write it, such as DEADLINE_EXCEEDED.
func callStatus(c codes.Code) string {
	if c == codes.Canceled {
		return "CANCELLED" // grpc-go spells it with one L
	}
	var b strings.Builder
	before := 'A'
	for i, r := range c.String() {
		if i > 0 && 'A' <= r && r <= 'Z' && before >= 'a' {
			b.WriteByte('_')
		}
		b.WriteRune(r)
		before = r
	}
	return strings.ToUpper(b.String())
}
