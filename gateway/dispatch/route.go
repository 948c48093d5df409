package dispatch

import (
	"bytes"
	"sync/atomic"
)

// Action says what is to be done with a request.
type Action uint8

const (
	// Forward: admit the request and send it to an endpoint.
	Forward Action = iota
	// NeedModel: look for the model in the body, set Request.Model and Request.ModelKnown, and call Match again.
	NeedModel
	// Local: answer with what Local returns.
	Local
	// Refuse: answer with the Reply that came along.
	Refuse
	// Serve: the call is for one of Options.Services.
	Serve
)

// modelsPath is answered locally, and so is what lies below it.
const modelsPath = "/v1/models"

// Match finds the route of x.Request and the pool of its split, and sets Route, Target, Pool and Mirror. It is the method that
// a field called Route keeps from being called so. The Reply comes with Refuse only, and becomes x.Refusal.
//
// A pool is chosen by weight or by the route's sticky key alone: where it has no endpoint the request waits there, since a split says
// which model version a user gets.
func (x *Exchange) Match() (Action, *Reply) {
	for {
		t := x.admission.table
		action, reply := x.match(t)
		latest := x.admission.dispatcher.table.Load()
		if action != Forward || t == latest || !x.Pool.Removed() {
			return action, reply
		}
		// The pool was removed while the request was read. Nothing has been done with it yet, so it can have today's table.
		x.admission.table = latest
	}
}

func (x *Exchange) match(t *table) (Action, *Reply) {
	x.Route, x.Target, x.Pool, x.Mirror = nil, nil, nil, nil
	r, needModel := t.routes.Match(&x.Request)
	local := x.asksForModels()
	switch {
	case local && (r == nil || !isBelow(r.Path, modelsPath)):
		return Local, nil
	case x.asksForService() && (r == nil || r.GRPCService == ""):
		return Serve, nil
	case needModel:
		return NeedModel, nil
	case r == nil:
		x.Refusal = missReply(t.routes.Miss(&x.Request), &x.Request)
		return Refuse, x.Refusal
	}
	key, hasKey := r.StickyKey(&x.Request, x.ClientIP)
	rand := x.admission.rand
	x.Route = t.of[r]
	x.Target = r.Choose(key, hasKey, rand)
	x.admission.target = x.Route.target(x.Target)
	x.Pool = x.Route.pools[x.admission.target]
	if r.MirrorSample(rand) {
		x.Mirror = x.Route.mirror
	}
	return Forward, nil
}

// asksForModels reports whether the request is one that Options.Models answers, unless a route was made for that very path.
func (x *Exchange) asksForModels() bool {
	if x.admission.dispatcher.options.Models == nil || string(x.Request.Method) != "GET" {
		return false
	}
	rest, ok := bytes.CutPrefix(x.Request.Path, []byte(modelsPath))
	return ok && (len(rest) == 0 || rest[0] == '?' || rest[0] == '/')
}

// asksForService reports whether the request calls one of Options.Services, unless a route was made for that very service.
func (x *Exchange) asksForService() bool {
	if len(x.Request.GRPCService) == 0 {
		return false
	}
	for _, s := range x.admission.dispatcher.options.Services {
		if s == string(x.Request.GRPCService) {
			return true
		}
	}
	return false
}

// isBelow reports whether path is prefix or lies below it.
func isBelow(path, prefix string) bool {
	return len(path) >= len(prefix) && path[:len(prefix)] == prefix && (len(path) == len(prefix) || path[len(prefix)] == '/')
}

// Local answers a request for which Match said Local. It may take seconds.
func (x *Exchange) Local() *Reply { return x.admission.dispatcher.options.Models(x) }

// Stats is a place for what an observer keeps for the request's route and pool, such as metric handles, so that it need not look
// them up for every request. Requests that no route takes share one. It is empty after each Apply.
func (x *Exchange) Stats() *atomic.Value {
	if x.Route == nil {
		return &x.admission.table.stats
	}
	return &x.Route.stats[x.admission.target]
}
