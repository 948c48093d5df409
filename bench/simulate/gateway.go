package simulate

import "github.com/penstock/penstock/balancer"

// maxAttempts is how often a request is sent at most where nobody was listening, as with the gateway's default of two retries.
const maxAttempts = 3

// gateway is one replica of the gateway: a balancer, and endpoints of its own.
type gateway struct {
	w         *world
	balancer  *balancer.Balancer
	endpoints map[*replica]*balancer.Endpoint
	expiry    int64 // when the queue will be looked at; 0 if that is not planned
}

// flight is a request on its way through a gateway.
type flight struct {
	waiter   balancer.Waiter
	gateway  *gateway
	replica  *replica
	endpoint *balancer.Endpoint
	index    int
	attempts int
	sent     int64
	first    int64
	cached   int64
	tried    [maxAttempts]*balancer.Endpoint
	nextFree *flight
}

func newGateway(w *world) (*gateway, error) {
	g := &gateway{w: w, endpoints: make(map[*replica]*balancer.Endpoint)}
	policy, err := w.policy(g)
	if err != nil {
		return nil, err
	}
	g.balancer = balancer.New(policy)
	g.balancer.SetQueue(w.o.QueueSize)
	return g, nil
}

func (w *world) takeFlight() *flight {
	f := w.freeFlight
	if f == nil {
		f = new(flight)
		w.flightOf[&f.waiter.Request] = f
		f.waiter.Notify = func(_ *balancer.Waiter, e *balancer.Endpoint) { f.gateway.granted(f, e) }
		return f
	}
	w.freeFlight = f.nextFree
	f.nextFree = nil
	return f
}

func (w *world) dropFlight(f *flight) {
	f.replica, f.endpoint = nil, nil
	f.nextFree = w.freeFlight
	w.freeFlight = f
	w.open--
}

// accept takes a request of the trace.
func (g *gateway) accept(index int) {
	f := g.w.takeFlight()
	f.gateway, f.index, f.attempts, f.first, f.cached = g, index, 0, 0, 0
	f.waiter.Request = balancer.Request{Tried: f.tried[:0]}
	g.w.describe(&f.waiter.Request, index)
	g.admit(f)
}

// admit sends the request, or queues it.
func (g *gateway) admit(f *flight) {
	w, r := g.w, &f.waiter.Request
	r.Now, r.Rand = w.now, w.random.Uint64()
	e, result := g.balancer.Acquire(r)
	if result == balancer.Acquired {
		g.send(f, e)
		return
	}
	f.waiter.Deadline = max(w.now+int64(w.o.QueueTimeout), 1) // 0 would be never
	if !g.balancer.Enqueue(&f.waiter) {
		g.end(f, QueueFull)
		return
	}
	g.watchQueue(f.waiter.Deadline)
}

// watchQueue looks at the queue when its next deadline passes.
func (g *gateway) watchQueue(at int64) {
	if at == 0 || g.expiry != 0 && g.expiry <= at {
		return
	}
	g.expiry = at
	g.w.events.push(at, func(w *world) {
		if g.expiry == at {
			g.expiry = 0
			g.watchQueue(g.balancer.Expire(w.now))
		}
	})
}

// granted is told what became of a request that waited.
func (g *gateway) granted(f *flight, e *balancer.Endpoint) {
	if e == nil {
		g.end(f, QueueTimeout)
		return
	}
	g.send(f, e)
}

func (g *gateway) send(f *flight, e *balancer.Endpoint) {
	f.endpoint, f.replica, f.sent, f.first = e, e.Data.(*replica), g.w.now, 0
	f.attempts++
	g.w.outcomes[f.index].Replica = int32(f.replica.number)
	f.replica.underway++
	g.w.toReplica.push(message{at: g.w.now + int64(g.w.o.Network), flight: f, kind: request})
}

// answered: the first token has come.
func (g *gateway) answered(f *flight) {
	f.first = g.w.now
	g.w.outcomes[f.index].FirstToken = g.w.now
	g.balancer.Answered(&f.waiter.Request)
}

// finished: the last token has come.
func (g *gateway) finished(f *flight) {
	q := &g.w.o.Trace.Requests[f.index]
	o := &g.w.outcomes[f.index]
	o.CachedTokens = int32(f.cached)
	g.release(f, balancer.Done{
		FirstByte:  f.sent + 2*int64(g.w.o.Network), // of the head, which model servers send of a stream before they begin
		FirstToken: f.first, Streamed: true,
		Told: true, PromptTokens: int64(q.PromptTokens), CachedTokens: f.cached, OutputTokens: int64(q.OutputTokens),
	})
	g.end(f, Completed)
}

// refused: nobody was listening, so the request can go elsewhere.
func (g *gateway) refused(f *flight) {
	e := f.endpoint
	g.release(f, balancer.Done{Failed: true})
	if f.attempts >= maxAttempts {
		g.end(f, Failed)
		return
	}
	f.waiter.Tried = append(f.waiter.Tried, e)
	g.admit(f)
}

// failed: the replica died over the request, or cannot do it.
func (g *gateway) failed(f *flight, fault bool) {
	g.release(f, balancer.Done{Failed: fault})
	g.end(f, Failed)
}

func (g *gateway) release(f *flight, d balancer.Done) {
	d.Now, d.Started = g.w.now, f.sent
	f.replica.underway--
	g.balancer.Release(f.endpoint, &f.waiter.Request, d)
	if f.replica.state == replicaDraining {
		g.w.maybeStop(f.replica)
	}
}

func (g *gateway) end(f *flight, how Ending) {
	o := &g.w.outcomes[f.index]
	o.Ended, o.Ending = g.w.now, how
	g.w.dropFlight(f)
}

// publish tells every gateway which replicas may be picked. Those that are new start slowly, unless there are no others: these would only
// hold all back alike.
func (w *world) publish() {
	w.peak = max(w.peak, w.ready())
	for _, g := range w.gateways {
		before := g.balancer.Snapshot()
		ready := make([]*balancer.Endpoint, 0, before.Len()+1)
		for _, r := range w.replicas {
			if r.state != replicaReady && !(r.state == replicaDead && r.unnoticed) {
				continue
			}
			e := g.endpoints[r]
			if e == nil {
				e = balancer.NewEndpoint(r.name, r)
				g.endpoints[r] = e
				if before.Len() > 0 && w.o.SlowStart > 0 {
					e.SetStartedAt(w.now, int64(w.o.SlowStart))
				}
				g.poll(r, e)
			}
			ready = append(ready, e)
		}
		g.balancer.SetSnapshot(balancer.NewSnapshot(ready, balancer.Options{MaxInFlight: int64(w.o.MaxInFlight)}))
	}
}
