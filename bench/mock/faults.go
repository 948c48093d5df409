package mock

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/penstock/penstock/bench/mock/lifecycle"
)

// Fault is one way in which a replica misbehaves. Faults are set all at once, with POST /mock/faults or SetFaults:
//
//	{"faults": [{"kind": "reset-mid-stream", "afterChunks": 5, "next": 1}, {"kind": "status", "status": 429, "retryAfter": 2, "share": 0.1}]}
//
// They hit the requests that run a model, over HTTP and gRPC alike; probes, metrics and the mock's own pages are spared, but for
// not-ready and death, which concern the replica and not single requests.
type Fault struct {
	// Kind is one of the kinds below.
	Kind FaultKind `json:"kind"`
	// Path limits the fault to requests of one path, over gRPC the method's full name such as
	// /inference.GRPCInferenceService/ModelInfer; empty is all.
	Path string `json:"path,omitempty"`
	// Next limits the fault to the next so many requests; 0 is no limit. When read back, it is what is left.
	Next int `json:"next,omitempty"`
	// Share is the part of the requests that the fault hits at random, above 0 to 1; 0 means all.
	Share float64 `json:"share,omitempty"`
	// AfterChunks is how many token chunks, messages over gRPC, a stream gets before the fault. An answer that is not streamed is
	// hit after half of its body.
	AfterChunks int `json:"afterChunks,omitempty"`
	// Delay is how much later a slow-start answer begins.
	Delay Duration `json:"delay,omitempty"`
	// For is how long a stall, not-ready or death lasts. 0 stalls until the client leaves, and is not ready until faults are set
	// again; a death must end.
	For Duration `json:"for,omitempty"`
	// Status is the HTTP status of kind status, 400 to 599. Over gRPC it becomes the status that says the same, such as
	// RESOURCE_EXHAUSTED for 429 and UNAVAILABLE for 503.
	Status int `json:"status,omitempty"`
	// RetryAfter is the Retry-After of kind status, in seconds; 0 sends none. Over gRPC it is the trailer grpc-retry-pushback-ms.
	RetryAfter int `json:"retryAfter,omitempty"`
}

// FaultKind names a way to misbehave.
type FaultKind string

// The kinds of faults. Over HTTP/2, resets and closes are RST_STREAM with INTERNAL_ERROR, as the connection has other streams.
const (
	ResetBeforeHeaders FaultKind = "reset-before-headers" // the connection is reset (RST) once the request was read
	CloseBeforeHeaders FaultKind = "close-before-headers" // the connection is closed (FIN) once the request was read
	ResetMidStream     FaultKind = "reset-mid-stream"     // the connection is reset within the answer
	CloseMidStream     FaultKind = "close-mid-stream"     // the connection is closed within the answer, at a chunk's end
	StallBeforeHeaders FaultKind = "stall-before-headers" // nothing is sent
	StallMidStream     FaultKind = "stall-mid-stream"     // the answer pauses
	SlowStart          FaultKind = "slow-start"           // the request begins late
	StatusAnswer       FaultKind = "status"               // an error is answered
	RefuseStream       FaultKind = "refuse-stream"        // nothing is read: REFUSED_STREAM; over HTTP/1.1, the connection is closed
	GoAway             FaultKind = "goaway"               // the answer is its connection's last: GOAWAY, or Connection: close
	NotReady           FaultKind = "not-ready"            // health checks fail; requests are still answered
	Death              FaultKind = "death"                // port closed, connections reset, cache lost; then revived
)

// takes says which fields a kind has besides the kind itself.
var takes = map[FaultKind][]string{
	ResetBeforeHeaders: {"path", "next", "share"},
	CloseBeforeHeaders: {"path", "next", "share"},
	ResetMidStream:     {"path", "next", "share", "afterChunks"},
	CloseMidStream:     {"path", "next", "share", "afterChunks"},
	StallBeforeHeaders: {"path", "next", "share", "for"},
	StallMidStream:     {"path", "next", "share", "afterChunks", "for"},
	SlowStart:          {"path", "next", "share", "delay"},
	StatusAnswer:       {"path", "next", "share", "status", "retryAfter"},
	RefuseStream:       {"path", "next", "share"},
	GoAway:             {"path", "next", "share"},
	NotReady:           {"for"},
	Death:              {"for"},
}

// kinds lists the kinds in the order in which they are documented.
var kinds = []FaultKind{
	ResetBeforeHeaders, CloseBeforeHeaders, ResetMidStream, CloseMidStream, StallBeforeHeaders, StallMidStream, SlowStart,
	StatusAnswer, RefuseStream, GoAway, NotReady, Death,
}

// Duration is a time.Duration that JSON writes as text, such as "1.5s".
type Duration time.Duration

// MarshalText writes the duration as time.Duration's String does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration reads.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fmt.Errorf("%q is not a duration such as \"1.5s\"", b)
	}
	*d = Duration(v)
	return nil
}

// check says what is wrong with a fault.
func (f *Fault) check() error {
	fields, known := takes[f.Kind]
	if !known {
		return fmt.Errorf("kind %q does not exist: the kinds are %s", f.Kind, joined(kinds))
	}
	for _, field := range []struct {
		name string
		set  bool
	}{
		{"path", f.Path != ""}, {"next", f.Next != 0}, {"share", f.Share != 0}, {"afterChunks", f.AfterChunks != 0},
		{"delay", f.Delay != 0}, {"for", f.For != 0}, {"status", f.Status != 0}, {"retryAfter", f.RetryAfter != 0},
	} {
		if field.set && !slices.Contains(fields, field.name) {
			return fmt.Errorf("kind %s does not take %s: it takes %s", f.Kind, field.name, strings.Join(fields, ", "))
		}
	}
	switch {
	case f.Next < 0 || f.AfterChunks < 0 || f.RetryAfter < 0 || f.Delay < 0 || f.For < 0:
		return fmt.Errorf("kind %s has a negative number", f.Kind)
	case !(f.Share >= 0 && f.Share <= 1):
		return fmt.Errorf("share is %v: it must be above 0 and at most 1", f.Share)
	case f.Kind == StatusAnswer && (f.Status < 400 || f.Status > 599):
		return fmt.Errorf("status is %d: it must be 400 to 599", f.Status)
	case f.Kind == SlowStart && f.Delay == 0:
		return errors.New("slow-start needs a delay")
	case f.Kind == Death && f.For == 0:
		return errors.New("death needs a time in \"for\", as nothing can be asked of a dead replica")
	}
	return nil
}

func joined(k []FaultKind) string {
	var names []string
	for _, kind := range k {
		names = append(names, string(kind))
	}
	return strings.Join(names, ", ")
}

// faultList is what /mock/faults takes and gives.
type faultList struct {
	Faults []Fault `json:"faults"`
}

// parseFaults reads a fault list. Errors say which fault and which field.
func parseFaults(body []byte) ([]Fault, error) {
	var raw struct {
		Faults []json.RawMessage `json:"faults"`
	}
	if err := decodeStrict(body, &raw); err != nil {
		return nil, fmt.Errorf("cannot read the faults: %w; the body is {\"faults\": [...]}", err)
	}
	if raw.Faults == nil {
		return nil, errors.New("cannot read the faults: the body has no field \"faults\"; an empty list clears them")
	}
	faults := make([]Fault, len(raw.Faults))
	for i, r := range raw.Faults {
		err := decodeStrict(r, &faults[i])
		if err == nil {
			err = faults[i].check()
		} else {
			err = fmt.Errorf("%w; the fields are kind, path, next, share, afterChunks, delay, for, status and retryAfter", err)
		}
		if err != nil {
			return nil, fmt.Errorf("cannot use faults[%d]: %w", i, err)
		}
	}
	return faults, nil
}

func decodeStrict(body []byte, into any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the JSON value")
	}
	return nil
}

// faultSet is a replica's faults. Safe for concurrent use.
type faultSet struct {
	life   *lifecycle.Life // is told of not-ready
	mu     sync.Mutex
	random *rand.Rand
	faults []Fault
}

func newFaultSet(seed uint64, life *lifecycle.Life) *faultSet {
	return &faultSet{life: life, random: rand.New(rand.NewPCG(seed, 0))}
}

// forever is later than any test or demo lasts.
const forever = 100 * 365 * 24 * time.Hour

// set replaces the faults, and returns how long the replica is to be dead; 0 if it is not. The faults have been checked.
func (s *faultSet) set(faults []Fault) (dead time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = nil
	var unready time.Time
	for _, f := range faults {
		switch f.Kind {
		case Death:
			dead = time.Duration(f.For)
			continue
		case NotReady:
			lasts := time.Duration(f.For)
			if lasts == 0 {
				lasts = forever
			}
			unready = time.Now().Add(lasts)
		}
		s.faults = append(s.faults, f)
	}
	s.life.SetUnready(unready)
	return dead
}

// list returns the faults that can still hit.
func (s *faultSet) list() []Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.life.Unready() {
		s.faults = slices.DeleteFunc(s.faults, func(f Fault) bool { return f.Kind == NotReady })
	}
	return append([]Fault{}, s.faults...)
}

// plan draws the faults that hit a request, in the order in which they were set.
func (s *faultSet) plan(path string) (hits []Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := 0; i < len(s.faults); i++ {
		f := &s.faults[i]
		if f.Kind == NotReady || f.Path != "" && f.Path != path || f.Share != 0 && s.random.Float64() >= f.Share {
			continue
		}
		hits = append(hits, *f)
		if f.Next > 0 {
			if f.Next--; f.Next == 0 {
				s.faults = slices.Delete(s.faults, i, i+1)
				i--
			}
		}
	}
	return hits
}
