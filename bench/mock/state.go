package mock

import (
	"errors"
	"io"
	"net"
	"net/http"
)

// State is what a replica counted since it was made; deaths do not reset it.
type State struct {
	// Replica is the replica's address.
	Replica string `json:"replica"`
	// Label is the replica's label, if it has one.
	Label string `json:"label,omitempty"`
	// Ready says whether health checks succeed.
	Ready bool `json:"ready"`
	// Deaths counts how often it died.
	Deaths int64 `json:"deaths"`
	// Requests sums up Endpoints.
	Requests RequestCounts `json:"requests"`
	// Endpoints counts requests by path, for the paths that run a model.
	Endpoints map[string]RequestCounts `json:"endpoints"`
	// Engine is the engine's state; its counters start anew with each life.
	Engine EngineState `json:"engine"`
}

// RequestCounts counts requests: Started is the sum of the others.
type RequestCounts struct {
	// Started counts requests whose head arrived.
	Started int64 `json:"started"`
	// Finished counts requests that were answered to the end, with whatever status.
	Finished int64 `json:"finished"`
	// Cancelled counts requests whose client left before the end.
	Cancelled int64 `json:"cancelled"`
	// Failed counts requests that a fault, a death or the server's end cut.
	Failed int64 `json:"failed"`
	// Running is how many are being answered.
	Running int64 `json:"running"`
}

// EngineState is engine.Stats as JSON.
type EngineState struct {
	Arriving         int     `json:"arriving"`
	Waiting          int     `json:"waiting"`
	Running          int     `json:"running"`
	KVUsage          float64 `json:"kvUsage"`
	PrefixQueries    int64   `json:"prefixQueries"`
	PrefixHits       int64   `json:"prefixHits"`
	Preemptions      int64   `json:"preemptions"`
	PromptTokens     int64   `json:"promptTokens"`
	GenerationTokens int64   `json:"generationTokens"`
	Steps            int64   `json:"steps"`
	Finished         int64   `json:"finished"`
	Cancelled        int64   `json:"cancelled"`
}

// State returns the replica's counts.
func (s *Server) State() State {
	st := State{Replica: s.Addr(), Label: s.options.Label, Ready: s.Ready(), Endpoints: make(map[string]RequestCounts)}
	if s.instant != nil {
		n := s.instant.Counts()
		st.Requests = RequestCounts{Started: n.Started, Finished: n.Finished, Cancelled: n.Cancelled, Running: n.Started - n.Finished - n.Cancelled}
		return st
	}
	s.mu.Lock()
	st.Deaths = s.deaths
	s.mu.Unlock()
	for name, n := range s.counts {
		c := n.snapshot()
		st.Endpoints[name] = c
		st.Requests.Started += c.Started
		st.Requests.Finished += c.Finished
		st.Requests.Cancelled += c.Cancelled
		st.Requests.Failed += c.Failed
		st.Requests.Running += c.Running
	}
	st.Engine = EngineState(s.replica.stats())
	return st
}

// snapshot reads the ends before the starts, so that running is never negative.
func (n *counts) snapshot() RequestCounts {
	c := RequestCounts{Finished: n.finished.Load(), Cancelled: n.cancelled.Load(), Failed: n.failed.Load()}
	c.Started = n.started.Load()
	c.Running = c.Started - c.Finished - c.Cancelled - c.Failed
	return c
}

// statePage answers GET /mock/state.
func (s *Server) statePage(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, mustJSON(s.State()))
}

// Faults returns the faults that can still hit.
func (s *Server) Faults() []Fault {
	if s.faults == nil {
		return nil
	}
	return s.faults.list()
}

// SetFaults replaces the replica's faults; none clears them. An instant server has none.
func (s *Server) SetFaults(faults []Fault) error {
	if s.instant != nil {
		return errNoFaults
	}
	for i := range faults {
		if err := faults[i].check(); err != nil {
			return err
		}
	}
	s.applyFaults(faults, nil)
	return nil
}

var errNoFaults = errors.New("cannot set faults: an instant mock has none")

// applyFaults sets faults that were checked. If one is a death, the connection keep survives it.
func (s *Server) applyFaults(faults []Fault, keep net.Conn) {
	if dead := s.faults.set(faults); dead > 0 {
		s.die(dead, keep)
	}
}

// faultsPage answers GET /mock/faults.
func (s *Server) faultsPage(w http.ResponseWriter, _ *http.Request) {
	writeJSON(w, http.StatusOK, mustJSON(faultList{Faults: s.Faults()}))
}

// setFaultsPage answers POST /mock/faults with the faults as they are then.
func (s *Server) setFaultsPage(w http.ResponseWriter, r *http.Request) {
	const limit = 64 << 10
	body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, limit))
	if err != nil {
		badRequest("faults", "cannot read the faults: %v", err).write(w)
		return
	}
	faults, err := parseFaults(body)
	if err != nil {
		badRequest("faults", "%v", err).write(w)
		return
	}
	keep, _ := r.Context().Value(connKey{}).(net.Conn)
	for _, f := range faults {
		if f.Kind == Death {
			w.Header().Set("Connection", "close")
		}
	}
	s.applyFaults(faults, keep)
	s.faultsPage(w, r)
}
