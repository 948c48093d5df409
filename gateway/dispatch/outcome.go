package dispatch

// Outcome says how an attempt or a whole exchange ended.
type Outcome uint8

const (
	// Completed: the response was relayed to its end, whatever its status.
	Completed Outcome = iota
	// ClientGone: the client left, or sent a broken body; nobody's fault here.
	ClientGone
	// ConnectFailed: no connection to the endpoint could be made. Nothing was sent: safe to retry.
	ConnectFailed
	// StaleConnection: a reused connection closed before the first response byte. Safe to retry and no fault of the endpoint.
	StaleConnection
	// UpstreamReset: a fresh connection closed before the first response byte. The request may have run.
	UpstreamReset
	// UpstreamBroken: the response was malformed or truncated.
	UpstreamBroken
	// UpstreamTimeout: the endpoint did not answer, or paused, for longer than is allowed.
	UpstreamTimeout
	// DeadlineExceeded: the deadline that the client set passed first; nobody's fault here.
	DeadlineExceeded
	// StreamRefused: the endpoint turned the request away before it began it, as it has too many or is shutting down. Safe to retry and no
	// fault of the endpoint.
	StreamRefused
	// Refused: the gateway answered by itself (no route, queue full, no endpoint, bad request, local answer).
	Refused

	outcomes = int(Refused) + 1
)

var outcomeNames = [outcomes]string{
	Completed:        "completed",
	ClientGone:       "client_gone",
	ConnectFailed:    "connect_failed",
	StaleConnection:  "stale_connection",
	UpstreamReset:    "upstream_reset",
	UpstreamBroken:   "upstream_broken",
	UpstreamTimeout:  "upstream_timeout",
	DeadlineExceeded: "deadline_exceeded",
	StreamRefused:    "stream_refused",
	Refused:          "refused",
}

// String returns the outcome as metrics and logs name it, such as "connect_failed".
func (o Outcome) String() string { return outcomeNames[o] }

// IsFault reports whether the outcome is the endpoint's fault, and so counts towards its ejection. Clients that leave, connections
// that grew stale and answers of any status are not.
func (o Outcome) IsFault() bool {
	switch o {
	case ConnectFailed, UpstreamReset, UpstreamBroken, UpstreamTimeout:
		return true
	}
	return false
}
