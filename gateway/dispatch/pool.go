package dispatch

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/config"
)

// Pool is the replicas that serve one model version. It lives across reloads under its name, and with it its counters, its queue
// and its endpoints. A pool that the configuration no longer has takes no more requests; those in flight finish.
type Pool struct {
	// Name is the pool's name in the configuration.
	Name string

	dispatcher *Dispatcher
	logger     *slog.Logger
	balancer   *balancer.Balancer
	settings   atomic.Pointer[settings]
	budget     atomic.Pointer[budget]
	removed    atomic.Bool

	_ [64]byte // what every request reads shares no cache line with what every request writes

	// requests counts first admissions of users' requests: the deposits of the retry budget.
	requests atomic.Int64

	_ [64]byte

	retries       atomic.Int64
	retriesDenied atomic.Int64

	queueTimer timer

	mu         sync.Mutex
	endpoints  []*Endpoint // by address
	draining   []*Endpoint // removed and not yet idle
	given      Members
	ejectTimer timer
}

// newPool returns a pool without endpoints. It takes requests once configure was called.
func newPool(d *Dispatcher, name string, s *settings) *Pool {
	p := &Pool{Name: name, dispatcher: d, given: MemberList(nil), logger: d.logger.With("pool", name), balancer: balancer.New(d.newPolicy(s))}
	p.queueTimer.fire = p.expireQueue
	p.ejectTimer.fire = p.endEjections
	p.budget.Store(newBudget(s.config.Retry.BudgetPercent, 0))
	return p
}

// newPolicy makes the policy that s names; newSettings has checked the name.
func newPolicy(s *settings) balancer.Policy {
	policy, err := balancer.NewPolicy(s.config.Balance, policySettings(&s.config))
	if err != nil {
		panic("BUG: settings with a wrong policy: " + err.Error())
	}
	return policy
}

// newPolicy is the policy that s names, as the dispatcher's owner wants it.
func (d *Dispatcher) newPolicy(s *settings) balancer.Policy {
	policy := newPolicy(s)
	if wrap := d.options.WrapPolicy; wrap != nil {
		return wrap(policy)
	}
	return policy
}

// Config is the pool's configuration.
func (p *Pool) Config() *config.Pool { return &p.settings.Load().config }

// Endpoints returns the pool's endpoints by address, those that drain at the end.
func (p *Pool) Endpoints() []*Endpoint {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Concat(p.endpoints, p.draining)
}

// Ready is the number of endpoints that take picks.
func (p *Pool) Ready() int { return p.balancer.Snapshot().Len() }

// QueueLen is the number of requests that wait for an endpoint.
func (p *Pool) QueueLen() int { return p.balancer.QueueLen() }

// InFlight is the number of requests that were sent to an endpoint and whose response is not finished, those on draining endpoints
// and mirror copies included.
func (p *Pool) InFlight() int { return int(p.balancer.InFlight()) }

// Outstanding is QueueLen and InFlight together. Whoever shows all three reads the two and adds them up, as requests move meanwhile.
func (p *Pool) Outstanding() int { return p.QueueLen() + p.InFlight() }

// OutstandingTokens is the number of prompt tokens that wait in the queue or were sent to an endpoint that has not begun to answer, what is most
// likely cached left out; 0 where the policy does not look at prompts.
func (p *Pool) OutstandingTokens() int64 { return p.balancer.OutstandingTokens() }

// Requests is the number of users' requests that ever asked for an endpoint; a request that was tried again counts once.
func (p *Pool) Requests() int64 { return p.requests.Load() }

// Retries is the number of attempts that were made again, and of those that the retry budget did not allow.
func (p *Pool) Retries() (made, denied int64) { return p.retries.Load(), p.retriesDenied.Load() }

// Removed reports whether the configuration no longer has the pool.
func (p *Pool) Removed() bool { return p.removed.Load() }

func byAddress(a, b *Endpoint) int { return compareAddress(a, b.Address) }

func compareAddress(e *Endpoint, address string) int { return cmp.Compare(e.Address, address) }
