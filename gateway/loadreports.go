package gateway

import (
	"context"
	"log/slog"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/balancer/load"
)

// takeReport takes in the load report of a response. One that is malformed is the endpoint's own affair: the response goes its way.
func (g *Gateway) takeReport(e *balancer.Endpoint, value []byte, binary bool, now int64) {
	err := load.TakeReport(e, value, binary, now)
	if err != nil && g.logger.Enabled(context.Background(), slog.LevelDebug) {
		g.logger.Debug("an endpoint's load report is dropped", "endpoint", e.Name, "error", err)
	}
}
