package live

import "time"

// Snapshot is a gateway as it was at one time. Rates are per second over the last 10 s, latencies are of the last minute, or of as long as somebody
// has watched if that is less.
type Snapshot struct {
	Time time.Time `json:"time"`
	Status
	// Window is how many seconds the latencies are of; 0 at the first look, when none is known yet.
	Window float64 `json:"window"`
	// Total is all pools together, and requests that got no pool.
	Total  Figures `json:"total"`
	Pools  []Pool  `json:"pools"`
	Routes []Route `json:"routes"`
	// Requests are the oldest of those underway.
	Requests []Request `json:"requests"`
	// Unlisted is how many more are underway.
	Unlisted int `json:"unlisted"`
	// Now is the last point of History.
	Now Point `json:"now"`
}

// Status is the process.
type Status struct {
	State       string    `json:"state"`
	Version     string    `json:"version"`
	Started     time.Time `json:"started"`
	Generation  int64     `json:"configGeneration"`
	Connections int       `json:"connections"`
	// Active is how many requests are underway, from their first byte on.
	Active int `json:"active"`
}

// Figures are what requests met.
type Figures struct {
	Queued   int `json:"queued"`
	InFlight int `json:"inFlight"`
	// Requests ended, per second; Errors are those of them with status 429 or 5xx, Aborts those whose client left. Rates are absent where they are not
	// known: at the first look of somebody after nobody has watched for some seconds.
	Requests *float64 `json:"requests,omitempty"`
	Errors   *float64 `json:"errors,omitempty"`
	Aborts   *float64 `json:"aborts,omitempty"`
	// PromptTokens and OutputTokens are per second, as responses tell them at their end.
	PromptTokens *float64 `json:"promptTokens,omitempty"`
	OutputTokens *float64 `json:"outputTokens,omitempty"`
	TTFT         *Latency `json:"ttft,omitempty"`
	TPOT         *Latency `json:"tpot,omitempty"`
}

// Latency is quantiles in ms of Count observations.
type Latency struct {
	Count uint64  `json:"count"`
	P50   float64 `json:"p50"`
	P95   float64 `json:"p95"`
	P99   float64 `json:"p99"`
}

// Pool is a pool.
type Pool struct {
	Name   string `json:"name"`
	Policy string `json:"policy"`
	// Ready is how many of the endpoints take picks.
	Ready int `json:"ready"`
	Figures
	Endpoints []Endpoint `json:"endpoints"`
}

// Endpoint is an endpoint. What it says of itself is left out where it never did.
type Endpoint struct {
	Address string `json:"address"`
	State   string `json:"state"`
	// Cause is why it is unhealthy, or else its last failure.
	Cause    string `json:"cause,omitempty"`
	InFlight int    `json:"inFlight,omitempty"`
	Requests int64  `json:"requests,omitempty"`
	// Waiting and Running are requests of all clients, as the endpoint says; KVCache is the share in use, 0 to 1.
	Waiting *float64 `json:"waiting,omitempty"`
	Running *float64 `json:"running,omitempty"`
	KVCache *float64 `json:"kvCache,omitempty"`
	// SignalAge is how many seconds ago the oldest of that was read.
	SignalAge *float64 `json:"signalAge,omitempty"`
	// Recent and Share are its shares of the pool's picks over the last 10 s and since the start, 0 to 1; absent where there were none.
	Recent *float64 `json:"recent,omitempty"`
	Share  *float64 `json:"share,omitempty"`
}

// Route is a route, with what its split says and what became of it.
type Route struct {
	Name    string   `json:"name"`
	Match   string   `json:"match,omitempty"`
	Targets []Target `json:"targets"`
}

// Target is a target of a route's split. Model is the one that replaces the requests', if any does. Configured, Measured and Overall are shares
// of the route's requests, 0 to 1: by the weights, of the last minute and since the start; absent where there were none.
type Target struct {
	Pool       string   `json:"pool"`
	Model      string   `json:"model,omitempty"`
	Configured float64  `json:"configured"`
	Measured   *float64 `json:"measured,omitempty"`
	Overall    *float64 `json:"overall,omitempty"`
	// Requests ended since the start.
	Requests uint64 `json:"requests"`
}

// Phases of a request.
const (
	PhaseQueued    = "queued"
	PhaseWaiting   = "waiting"   // for the first byte of the body of its response
	PhaseStreaming = "streaming" // or whatever its response is
)

// Request is one that is underway.
type Request struct {
	ID       string `json:"id"`
	Route    string `json:"route"`
	Pool     string `json:"pool"`
	Endpoint string `json:"endpoint,omitempty"`
	Model    string `json:"model,omitempty"`
	Phase    string `json:"phase"`
	// Age is in seconds since its first byte.
	Age float64 `json:"age"`
	// Tokens is how many events or messages its response has had.
	Tokens int64 `json:"tokens"`
}

// Point is one of the points of a chart.
type Point struct {
	// Time is in Unix ms. The others are as in Figures, rates since the point before; latencies are of the last 10 s, in ms. They are absent where
	// there was nothing to measure.
	Time         int64    `json:"t"`
	Requests     *float64 `json:"requests,omitempty"`
	Errors       *float64 `json:"errors,omitempty"`
	OutputTokens *float64 `json:"outputTokens,omitempty"`
	InFlight     int      `json:"inFlight"`
	Queued       int      `json:"queued"`
	TTFT         *float64 `json:"ttft,omitempty"` // p95
	TPOT         *float64 `json:"tpot,omitempty"` // p95
}

// Event is something that has happened.
type Event struct {
	// Number counts events from 1.
	Number int64     `json:"n"`
	Time   time.Time `json:"time"`
	// Kind is one of Kinds.
	Kind  string `json:"kind"`
	Level string `json:"level"`
	Text  string `json:"text"`
	Pool  string `json:"pool,omitempty"`
	// Detail is what else was said.
	Detail string `json:"detail,omitempty"`
}
