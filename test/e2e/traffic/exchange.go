package traffic

import (
	"fmt"
	"time"
)

// Outcome is how a request ended. Every request has exactly one.
type Outcome string

// The outcomes, from the best to the worst.
const (
	// OK is an answer that came whole and is what was asked for.
	OK Outcome = "ok"
	// Refused is an answer that says no before any content: a status other than 200, over gRPC one other than OK.
	Refused Outcome = "refused"
	// Failed is a request without an answer: an error before a response's head.
	Failed Outcome = "failed"
	// Cut is an answer that began and ended with an error, so that a client knows: a reset, an end within the body, a status after messages, or
	// an error among a stream's events.
	Cut Outcome = "cut"
	// Truncated is an answer that ended as if it were whole and is not, or is another one than was asked for: the worst, as nobody is told.
	Truncated Outcome = "truncated"
)

// Outcomes are all outcomes, in the order of reports.
var Outcomes = []Outcome{OK, Refused, Failed, Cut, Truncated}

// exchange is one request and what became of it, in the hands of the goroutine that sends it.
type exchange struct {
	kind   Kind
	number int64 // of all requests of the driver
	id     string
	user   string // empty without users
	client int
	tokens int // are asked for
	start  time.Time
	end    time.Time

	server      server
	known       time.Time // when the head of the answer came, which says who the server is; zero without an answer
	status      string    // the status of HTTP, or the code of gRPC; empty without an answer
	code        string    // what an error's body says in its field code
	connections int       // were taken for the request: more than one where net/http sent it again on another connection
	reused      bool      // the last of them had carried another request
	bytes       int       // of the body or the messages
	pieces      int       // tokens' chunks or messages
	first, last time.Time
	maxGap      time.Duration // the longest pause between two pieces

	outcome Outcome
	text    string // why it is not OK

	arrived func(pieces int) // observes pieces in tests; may be nil
}

// server is who answered, as far as the answer's headers say.
type server struct{ endpoint, replica, label string }

// name is the endpoint as the gateway knows it, or as the replica knows itself.
func (s server) name() string {
	if s.endpoint != "" {
		return s.endpoint
	}
	return s.replica
}

// Headers that say who answered.
const (
	endpointHeader = "x-penstock-endpoint"
	replicaHeader  = "x-mock-replica"
	labelHeader    = "x-mock-label"
)

// serverOf reads who answered.
func serverOf(get func(name string) string) server {
	return server{endpoint: get(endpointHeader), replica: get(replicaHeader), label: get(labelHeader)}
}

// piece notes that a part of the content came.
func (e *exchange) piece(now time.Time) {
	if e.pieces++; e.pieces == 1 {
		e.first = now
	} else {
		e.maxGap = max(e.maxGap, now.Sub(e.last))
	}
	e.last = now
	if e.arrived != nil {
		e.arrived(e.pieces)
	}
}

// ends says how the exchange ended.
func (e *exchange) ends(o Outcome, format string, args ...any) {
	const most = 500 // bytes of a text that a report carries
	e.outcome, e.text = o, fmt.Sprintf(format, args...)
	if len(e.text) > most {
		e.text = e.text[:most] + "..."
	}
}
