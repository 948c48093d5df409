package gateway

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
)

// status is the state of a gateway as /debug/endpoints shows it.
type status struct {
	State       string                     `json:"state"`
	Version     string                     `json:"version"`
	Started     time.Time                  `json:"started"`
	Generation  int64                      `json:"configGeneration"`
	Connections int                        `json:"connections"`
	Pools       []dispatch.PoolDescription `json:"pools"`
}

func (g *Gateway) status() status {
	version, _ := Version()
	s := status{
		State:       g.phase().String(),
		Version:     version,
		Started:     g.started,
		Generation:  g.generation.Load(),
		Connections: g.slots.count(),
		Pools:       []dispatch.PoolDescription{},
	}
	for _, p := range g.dispatcher.Pools() {
		s.Pools = append(s.Pools, p.Describe())
	}
	return s
}

// serveEndpoints answers /debug/endpoints.
func (g *Gateway) serveEndpoints(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	encoder.Encode(g.status())
}
