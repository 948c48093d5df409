package gateway

// healthState is what the traffic port says of itself by gRPC's health protocol: which of these names are serving.
//
//   - The empty name is the gateway: it serves from its start, and the first news of where endpoints are, until it is told to stop.
//   - A pool's name: an endpoint of the pool is ready.
//   - The model and the gRPC service that a route matches: a pool that some route of that name gives a share of its requests has a ready
//     endpoint. Where a pool has the same name, that is the pool's.
//
// A gateway that does not serve says so of all names, as clients mostly watch only the one that they call.
func (g *Gateway) healthState() map[string]bool {
	serving := g.notReady() == ""
	state := make(map[string]bool)
	g.dispatcher.Between(func() {
		for _, r := range g.dispatcher.Routes() {
			ready := serving && r.Ready()
			for _, name := range []string{r.Model, r.GRPCService} {
				state[name] = state[name] || ready
			}
		}
		for _, p := range g.dispatcher.Pools() {
			state[p.Name] = serving && p.Ready() > 0
		}
	})
	state[""] = serving // and what routes without a model or service have put there is gone
	return state
}
