package dispatch

import "github.com/penstock/penstock/gateway/route"

// Route is a route of the routing table that a request was matched against.
type Route struct{ *route.Route }

// Action says what is to be done with a request.
type Action uint8

const (
	// Forward: admit the request and send it to an endpoint.
	Forward Action = iota
	// NeedModel: scan the body for the model, set Request.Model and Request.ModelKnown, and call Match again.
	NeedModel
	// Local: answer with what Local returns.
	Local
	// Refuse: answer with the Reply that came along.
	Refuse
)

// Match finds the route and the pool of the request. It is the method that a field called Route keeps from being called Route.
func (x *Exchange) Match() (Action, *Reply) { return Forward, nil }

// Local answers a request for which Match said Local. It may take seconds.
func (x *Exchange) Local() *Reply { return nil }
