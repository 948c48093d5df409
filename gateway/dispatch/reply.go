package dispatch

import (
	"fmt"
	"time"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/gateway/openai"
	"github.com/penstock/penstock/gateway/route"
)

// Reply is an answer that the gateway gives by itself: a refusal, or a local page such as /v1/models. Replies are shared between
// requests and must not be changed.
type Reply struct {
	// Status is the HTTP status; engines of other protocols map it.
	Status int
	// Code is the machine-readable cause, such as "queue_full"; empty for local pages.
	Code string
	// Message says in a sentence what was wrong and what would be right.
	Message string
	// RetryAfter is in seconds; 0 sends none.
	RetryAfter int
	// ContentType and Body are the answer; for refusals they are the OpenAI error shape.
	ContentType string
	Body        []byte
}

// NewReply makes a refusal with a body in OpenAI's error shape. param is the field of the request that is to blame, if one is;
// retryAfter is in seconds, 0 for none.
func NewReply(status int, code, message, param string, retryAfter int) *Reply {
	return &Reply{
		Status: status, Code: code, Message: message, RetryAfter: retryAfter,
		ContentType: "application/json",
		Body:        openai.AppendError(nil, status, code, message, param),
	}
}

// ClientLeft is what Admit and Retry return after Cancel: there is nobody left to answer. Its Status is for the access log.
var ClientLeft = &Reply{Status: statusClientLeft, Code: "client_left", Message: "the client left before it was answered"}

// statusClientLeft is what nginx made customary for requests whose client did not wait for the answer. It is never sent.
const statusClientLeft = 499

var (
	replyNoRoute = NewReply(404, "route_not_found",
		"no route takes a request with this method, host, path and headers; see the routes of the gateway's configuration", "", 0)
	replyModelRequired = NewReply(400, "model_required",
		"the request names no model; set the field model of its body to the name of a model that is served here", "model", 0)
	replyDotSegment = NewReply(400, "path_not_normalized",
		"the path has a dot segment or an encoded slash; send it as RFC 3986, section 5.2.4 leaves it", "", 0)

	replyConnectFailed = NewReply(502, "connect_failed", "no connection to a replica of the model could be made", "", 0)
	replyReset         = NewReply(502, "upstream_reset",
		"the replica closed the connection before it answered; the request may have run, so it was not sent again", "", 0)
	replyStale = NewReply(502, "upstream_reset",
		"the replica closed a connection that was in use before, and the request could not be sent again", "", 0)
	replyBroken   = NewReply(502, "upstream_broken", "the replica's answer was not valid or broke off", "", 0)
	replyTimeout  = NewReply(504, "upstream_timeout", "the replica did not answer in time", "", 0)
	replyDeadline = NewReply(504, "deadline_exceeded", "the deadline that the request came with passed before it was answered", "", 0)
	replyRefused  = NewReply(503, "stream_refused", "the replica refused the request before it began it, and no other took it; send it again",
		"", int(minRetryAfter/time.Second))
)

// failures are the answers for attempts that failed.
var failures = [...]*Reply{
	ClientGone:       ClientLeft,
	ConnectFailed:    replyConnectFailed,
	StaleConnection:  replyStale,
	UpstreamReset:    replyReset,
	UpstreamBroken:   replyBroken,
	UpstreamTimeout:  replyTimeout,
	DeadlineExceeded: replyDeadline,
	StreamRefused:    replyRefused,
}

// FailureReply is the answer for an attempt that failed as o.
func FailureReply(o Outcome) *Reply {
	if int(o) >= len(failures) || failures[o] == nil {
		panic(fmt.Sprintf("BUG: an attempt ended as %v, which is no failure", o))
	}
	return failures[o]
}

// maxEchoedModel is how much of a model's name a refusal repeats, in bytes.
const maxEchoedModel = 128

// missReply answers a request that no route takes.
func missReply(reason route.MissReason, r *route.Request) *Reply {
	switch reason {
	case route.DotSegment:
		return replyDotSegment
	case route.MissingModel:
		return replyModelRequired
	case route.UnknownModel:
		model := r.Model[:min(len(r.Model), maxEchoedModel)]
		return NewReply(404, "model_not_found",
			fmt.Sprintf("the model %q is not served here; GET /v1/models lists those that are", model), "model", 0)
	}
	return replyNoRoute
}

// poolReplies are a pool's refusals, made once for each configuration.
type poolReplies struct {
	queueFull    *Reply // endpoints are there, all are busy, and no more requests may wait
	queueTimeout *Reply // endpoints are there and stayed busy
	noEndpoint   *Reply // no endpoint is ready, and none came in time
	removed      *Reply // the pool is no longer configured
}

func newPoolReplies(pool string, q config.Queue) poolReplies {
	after := retryAfter(q.Timeout.Std())
	full := fmt.Sprintf("pool %s is saturated: all its endpoints are busy and %d requests, the most allowed, wait already", pool, q.Size)
	if q.Size == 0 {
		full = fmt.Sprintf("pool %s is saturated: all its endpoints are busy, and requests may not wait", pool)
	}
	return poolReplies{
		queueFull: NewReply(429, "queue_full", full, "", after),
		queueTimeout: NewReply(504, "queue_timeout",
			fmt.Sprintf("pool %s is saturated: no endpoint became free within %s", pool, q.Timeout), "", after),
		noEndpoint: NewReply(503, "no_endpoint", fmt.Sprintf("pool %s has no endpoint that is ready", pool), "", after),
		removed: NewReply(503, "no_endpoint", fmt.Sprintf("pool %s is being removed; send the request again", pool), "",
			int(minRetryAfter/time.Second)),
	}
}

const (
	minRetryAfter = time.Second
	maxRetryAfter = 30 * time.Second
)

// retryAfter estimates when a retry is worth its while, in whole seconds: the time that the queue holds a request is the time in
// which the operator expects a place to come free. It is kept between 1 and 30 s, so that clients neither hammer nor give up.
func retryAfter(queueTimeout time.Duration) int {
	bounded := min(max(queueTimeout, minRetryAfter), maxRetryAfter)
	return int((bounded + time.Second - 1) / time.Second)
}
