package traffic

import (
	"maps"
	"slices"
	"time"
)

// Report is what a driver found in a counting period: since it was made, or since the last reset.
type Report struct {
	// Began is when the period began, and Taken when it was reported.
	Began time.Time `json:"began"`
	Taken time.Time `json:"taken"`
	// Running says whether requests are being sent.
	Running bool `json:"running"`
	// Valid says whether every request was sent that was due; if not, the driver was no open loop.
	Valid bool `json:"valid"`
	// MaxLateSeconds is how much later than it was due a request was sent at most.
	MaxLateSeconds float64 `json:"maxLateSeconds"`
	// Kinds has the counts of each kind.
	Kinds map[Kind]Tally `json:"kinds"`
	// Samples tells of the first requests of each outcome but OK, in the order of their ends.
	Samples []Sample `json:"samples"`
	// Endpoints says who answered, in the order of names.
	Endpoints []Endpoint `json:"endpoints"`
	// Users says who answered each user.
	Users map[string]User `json:"users,omitempty"`
	// LeftOut says what is missing because there was too much of it; without anything missing it is empty.
	LeftOut []string `json:"leftOut,omitempty"`
}

// Tally is what became of the requests of one kind. Sent and Carried add up to Underway and the outcomes.
type Tally struct {
	// Sent counts requests that were sent in the period, and Carried those that were underway when it began.
	Sent    int64 `json:"sent"`
	Carried int64 `json:"carried"`
	// Underway counts those that have not ended.
	Underway int64 `json:"underway"`
	// Dropped counts what was due and not sent, as too many were underway.
	Dropped int64 `json:"dropped"`
	// Outcomes counts those that have ended.
	Outcomes map[Outcome]int64 `json:"outcomes"`
	// Resent counts those that net/http sent again on another connection (see httpClient).
	Resent int64 `json:"resent"`
	// TTFT is the time to the first piece of content of those that are OK (the whole answer, where it comes in one piece), and MaxGap the
	// longest pause between two pieces of each stream.
	TTFT   Times `json:"ttftSeconds"`
	MaxGap Times `json:"maxGapSeconds"`
}

// Times are quantiles, in seconds, at most 1/32 too long.
type Times struct {
	Count int     `json:"count"`
	P50   float64 `json:"p50"`
	P90   float64 `json:"p90"`
	P99   float64 `json:"p99"`
	Max   float64 `json:"max"`
}

// Sample is a request that was not OK.
type Sample struct {
	Kind    Kind    `json:"kind"`
	Outcome Outcome `json:"outcome"`
	// Sent and Ended are when it was sent and when it ended.
	Sent  time.Time `json:"sent"`
	Ended time.Time `json:"ended"`
	// RequestID is its x-request-id, which the gateway's access log has, too.
	RequestID string `json:"requestId"`
	User      string `json:"user,omitempty"`
	// Tokens is how many it asked for.
	Tokens int `json:"tokens"`
	// Endpoint, Replica and Label are what the answer's headers x-penstock-endpoint, x-mock-replica and x-mock-label say.
	Endpoint string `json:"endpoint,omitempty"`
	Replica  string `json:"replica,omitempty"`
	Label    string `json:"label,omitempty"`
	// Status is the status of HTTP or the code of gRPC; empty without an answer.
	Status string `json:"status,omitempty"`
	// Code is the field code of an error's body.
	Code string `json:"code,omitempty"`
	// Error says what was wrong: an error's text, or a refusal's message.
	Error string `json:"error"`
	// Pieces is how many tokens' chunks or messages had arrived, and Bytes how much of the body or the messages.
	Pieces int `json:"pieces"`
	Bytes  int `json:"bytes"`
	// Connections is how many connections net/http took, and Reused whether the last one had carried another request.
	Connections int  `json:"connections,omitempty"`
	Reused      bool `json:"reused,omitempty"`
}

// Endpoint is who answered requests that are OK.
type Endpoint struct {
	// Name is what the gateway calls it, or else what the replica calls itself; "-" if no header says.
	Name string `json:"name"`
	// Label is the replica's label, which tells versions apart.
	Label string `json:"label"`
	// OK counts answers by kind.
	OK map[Kind]int64 `json:"ok"`
	// Seconds has the answers by the second in which their requests were sent, in their order and without those that have none.
	Seconds []Second `json:"seconds"`
}

// Second counts one second's answers.
type Second struct {
	// At is the second since the period began; it is negative for what was sent before.
	At int            `json:"at"`
	OK map[Kind]int64 `json:"ok"`
}

// User is who answered one user, whatever the outcome.
type User struct {
	Answers int `json:"answers"`
	// Labels and Endpoints are the history: how long, by the times at which requests were sent, the same label or endpoint answered.
	Labels    []Span `json:"labels"`
	Endpoints []Span `json:"endpoints"`
}

// Span is a time in which one name answered a user.
type Span struct {
	Name string `json:"name"`
	// First and Last are when the first and the last of its requests were sent.
	First time.Time `json:"first"`
	Last  time.Time `json:"last"`
	// Known is when the user first knew: when the head of the first of the answers came.
	Known   time.Time `json:"known"`
	Answers int       `json:"answers"`
}

// Count sums up an outcome over kinds; without a kind, over all.
func (r *Report) Count(o Outcome, kinds ...Kind) (n int64) {
	if len(kinds) == 0 {
		kinds = Kinds
	}
	for _, k := range kinds {
		n += r.Kinds[k].Outcomes[o]
	}
	return n
}

// NotOK is how many requests ended otherwise than OK.
func (r *Report) NotOK() (n int64) {
	for _, o := range Outcomes {
		if o != OK {
			n += r.Count(o)
		}
	}
	return n
}

// Share is the part, 0 to 1, that replicas of a label have of the answers to requests that were sent in a time, in whole seconds since the
// period began: from the second from up to and without until. Of is how many answers there are; without any the share is 0.
func (r *Report) Share(label string, from, until int) (share float64, of int64) {
	var has int64
	for _, e := range r.Endpoints {
		for _, s := range e.Seconds {
			if s.At < from || s.At >= until {
				continue
			}
			for _, n := range s.OK {
				of += n
				if e.Label == label {
					has += n
				}
			}
		}
	}
	if of == 0 {
		return 0, 0
	}
	return float64(has) / float64(of), of
}

// Second is the second of the period that a time is in, for Share.
func (r *Report) Second(t time.Time) int { return secondOf(t.Sub(r.Began)) }

// UsersAt counts the users whose last answer, of those to requests that were sent until a time, came from replicas of each label.
func (r *Report) UsersAt(t time.Time) map[string]int {
	at := make(map[string]int)
	for _, u := range r.Users {
		for _, s := range slices.Backward(u.Labels) {
			if !s.First.After(t) {
				at[s.Name]++
				break
			}
		}
	}
	return at
}

// Move is a user's change from one label to another.
type Move struct {
	User     string
	From, To string
	// Between are when the last request to the one and the first to the other were sent.
	Between [2]time.Time
}

// Moves are the changes of label of all users, by user and time.
func (r *Report) Moves() (moves []Move) {
	for _, name := range slices.Sorted(maps.Keys(r.Users)) {
		spans := r.Users[name].Labels
		for i := 1; i < len(spans); i++ {
			moves = append(moves, Move{name, spans[i-1].Name, spans[i].Name, [2]time.Time{spans[i-1].Last, spans[i].First}})
		}
	}
	return moves
}

// MovesBack are the changes from a label to one that comes before it in the order given, such as from new to old. Of requests that were underway
// at the same time none is the earlier one, however little later one of them was sent: a user is moved back who had known the new label when a
// request was sent that the old one answered.
func (r *Report) MovesBack(order ...string) (back []Move) {
	for _, name := range slices.Sorted(maps.Keys(r.Users)) {
		spans := r.Users[name].Labels
		for i, to := range spans {
			at := slices.Index(order, to.Name)
			if at < 0 {
				continue
			}
			for _, from := range spans[:i] {
				if slices.Index(order, from.Name) > at && from.Known.Before(to.Last) {
					back = append(back, Move{name, from.Name, to.Name, [2]time.Time{from.Known, to.Last}})
					break
				}
			}
		}
	}
	return back
}
