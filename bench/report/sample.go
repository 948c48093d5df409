package report

import (
	"strconv"
	"time"
)

// Outcome is how a request ended.
type Outcome uint8

// The outcomes. Only OK is a success.
const (
	// OK is a complete answer.
	OK Outcome = iota
	// Status is an answer with another status than 200.
	Status
	// Connect is a connection that could not be made.
	Connect
	// Closed is a connection that was closed before the answer began.
	Closed
	// Reset is a connection that was reset, before or within the answer.
	Reset
	// Truncated is an answer that ended before its end: a stream without [DONE], or a body that is shorter than announced.
	Truncated
	// Refused is a stream that began and then told of an error.
	Refused
	// Invalid is an answer that cannot be read.
	Invalid
	// Timeout is a request that took longer than the generator waits.
	Timeout
	// Cancelled is a request that the generator itself gave up, because the run was cut short.
	Cancelled
	// Dropped is an arrival that was not sent, as too many requests were in flight.
	Dropped
)

var outcomeNames = [...]string{"ok", "status", "connect", "closed", "reset", "truncated", "error-event", "invalid", "timeout", "cancelled", "dropped"}

// String is the outcome's name in reports.
func (o Outcome) String() string {
	if int(o) < len(outcomeNames) {
		return outcomeNames[o]
	}
	return "outcome-" + strconv.Itoa(int(o))
}

// Sample is what was measured of one arrival. Times count from the run's beginning; 0 is never.
type Sample struct {
	// At is when the request was to be sent, and Sent when it was. First and Last are when the first and the last piece of the answer's
	// text came, and End when all was over.
	At, Sent, First, Last, End time.Duration
	// MaxGap is the longest time between two pieces of text.
	MaxGap time.Duration
	// PromptTokens, CachedTokens and OutputTokens are as the answer's usage says; -1 where it does not.
	PromptTokens, CachedTokens, OutputTokens int32
	// Pieces is how many pieces of text came.
	Pieces int32
	// Endpoint says which of Measurement.Endpoints answered; -1 is not known.
	Endpoint int32
	// Code is the HTTP status; 0 without an answer.
	Code int16
	// Outcome is how it ended.
	Outcome Outcome
}

// errorName is the name of a failure in Result.Errors.
func (s *Sample) errorName() string {
	if s.Outcome == Status {
		return "status-" + strconv.Itoa(int(s.Code))
	}
	return s.Outcome.String()
}

// ttft is the time to the first token, counted from when the request was to be sent.
func (s *Sample) ttft() (float64, bool) {
	return (s.First - s.At).Seconds(), s.First > 0
}

// tpot is the time per token after the first. Tokens that came in one piece share its time.
func (s *Sample) tpot() (float64, bool) {
	if s.First == 0 || s.OutputTokens < 2 {
		return 0, false
	}
	return (s.Last - s.First).Seconds() / float64(s.OutputTokens-1), true
}

func (s *Sample) e2e() float64 { return (s.End - s.At).Seconds() }

// Objectives are the latencies that a good answer keeps; 0 asks for nothing.
type Objectives struct {
	// TTFT is the longest time to the first token, and TPOT per token after it, in seconds.
	TTFT float64 `json:"ttftSeconds,omitempty"`
	TPOT float64 `json:"tpotSeconds,omitempty"`
	// E2E is the longest time to the end of the answer, in seconds.
	E2E float64 `json:"e2eSeconds,omitempty"`
}

// Any says whether there is an objective.
func (o Objectives) Any() bool { return o != Objectives{} }

// met says whether a request met every objective. One token alone has no time per token to miss; tokens that nobody counted do.
func (o Objectives) met(s *Sample) bool {
	if s.Outcome != OK {
		return false
	}
	if ttft, ok := s.ttft(); o.TTFT > 0 && (!ok || ttft > o.TTFT) {
		return false
	}
	if tpot, ok := s.tpot(); o.TPOT > 0 && (tpot > o.TPOT || !ok && s.OutputTokens < 0) {
		return false
	}
	return o.E2E <= 0 || s.e2e() <= o.E2E
}
