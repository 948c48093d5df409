package health

import (
	"sync"
	"time"

	"github.com/penstock/penstock/balancer"
)

// EjectConfig says when an endpoint is ejected and for how long.
type EjectConfig struct {
	// ConsecutiveFailures is how many failures in a row eject an endpoint. 0 or less turns ejection off.
	ConsecutiveFailures int
	// BaseTime is how long the first ejection lasts; each further one in a row doubles it.
	BaseTime time.Duration
	// MaxTime is the longest ejection; less than BaseTime counts as BaseTime.
	MaxTime time.Duration
	// MaxPercent is the largest share of the pool that may be ejected at once, 0 to 100. Unless it is 0 one endpoint may always be,
	// except for the last that is available. Of endpoints that nobody lists any more all may be: see SetEndpoints.
	MaxPercent int
}

// Ejector takes endpoints of one pool out of the pick for a time when they fail, by what requests meet (passive health checking,
// outlier detection). It is a state machine without a clock: times are passed in, in ns on one monotonic scale. Its methods may be
// called from any goroutine.
//
// The caller says what a failure is. It should be what the endpoint alone is to blame for: that no connection could be made, that it
// was reset before the response, that the response was malformed or cut, that it did not come in time. It must not be a client's
// error or departure, a status of 4xx, nor 429 or 503, which are back-pressure: ejecting endpoints for being busy makes the others
// busier.
//
// An endpoint that comes back has its failures in a row still counted, so that one more ejects it again; its first success
// clears them. Doublings decay: each stretch as long as the last ejection that passes without a new one takes one back.
type Ejector struct {
	config EjectConfig

	mu       sync.Mutex
	members  map[*balancer.Endpoint]*record
	ejected  []*balancer.Endpoint // by the end of their ejection, soonest first
	complete bool                 // SetEndpoints said who the members are
	all      bool                 // and that all of them may be ejected
	round    int64                // counts calls of SetEndpoints
}

// record is what is known of an endpoint beside its failures in a row, which it carries itself.
type record struct {
	until int64 // when the current or last ejection ends
	last  int64 // how long it lasts; 0 if there was none
	level int   // doublings that the next ejection would have if it came at once
	round int64 // of the last SetEndpoints that named it
	out   bool
}

// NewEjector returns an ejector for a pool.
func NewEjector(config EjectConfig) *Ejector {
	config.MaxTime = max(config.MaxTime, config.BaseTime)
	return &Ejector{config: config, members: make(map[*balancer.Endpoint]*record)}
}

// SetEndpoints says which endpoints there are: all that would be available but for ejection. The others are forgotten. It
// returns those whose ejection it ended early, because the pool has become too small for it: the last endpoint that is available is
// never kept out, unless all says that each of them may be, as nobody knows whether it is still there. Until the first call, every
// endpoint that fails counts as a member, and as the pool's size is not known MaxPercent is the caller's to keep.
func (j *Ejector) SetEndpoints(endpoints []*balancer.Endpoint, all bool) (returned []*balancer.Endpoint) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.complete, j.all = true, all
	j.setMembers(endpoints)
	kept := j.ejected[:0]
	for _, e := range j.ejected {
		if j.members[e] != nil {
			kept = append(kept, e)
		}
	}
	clear(j.ejected[len(kept):])
	j.ejected = kept
	for len(j.ejected) > j.most() {
		returned = append(returned, j.release())
	}
	return returned
}

// setMembers brings members in line with endpoints, in place: in large pools, single endpoints come and go many times a second. The lock is held.
func (j *Ejector) setMembers(endpoints []*balancer.Endpoint) {
	j.round++
	for _, e := range endpoints {
		m := j.members[e]
		if m == nil {
			m = &record{}
			j.members[e] = m
			e.Failures.Store(0)
		}
		m.round = j.round
	}
	if len(j.members) == len(endpoints) {
		return
	}
	for e, m := range j.members {
		if m.round != j.round {
			delete(j.members, e)
		}
	}
}

// most returns how many endpoints may be ejected at once. The lock is held.
func (j *Ejector) most() int {
	n := len(j.members)
	switch {
	case !j.complete:
		return n
	case j.config.MaxPercent <= 0:
		return 0
	case j.all:
		return n
	}
	return max(0, min(max(1, n*j.config.MaxPercent/100), n-1))
}

// Success notes that e answered. It costs one atomic load unless e has failed since its last success.
func (j *Ejector) Success(e *balancer.Endpoint) {
	if e.Failures.Load() != 0 {
		e.Failures.Store(0)
	}
}

// Failure notes that e failed a request. ejected says that this ejects e: it is out of the pick until then. It is not if it is
// ejected already (what was in flight may go on failing), if too few others are left, or if it is no member of the pool.
func (j *Ejector) Failure(e *balancer.Endpoint, now int64) (ejected bool, until int64) {
	failures := e.Failures.Add(1)
	if j.config.ConsecutiveFailures <= 0 || failures < int64(j.config.ConsecutiveFailures) {
		return false, 0
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	m := j.member(e)
	if m == nil || m.out || len(j.ejected) >= j.most() {
		return false, 0
	}
	doublings := m.remaining(now)
	m.last = j.duration(doublings)
	m.until = now + m.last
	m.level = doublings
	if m.last < int64(j.config.MaxTime) {
		m.level++
	}
	m.out = true
	j.insert(e, m.until)
	return true, m.until
}

// member returns e's record, nil if e does not belong to the pool. The lock is held.
func (j *Ejector) member(e *balancer.Endpoint) *record {
	m := j.members[e]
	if m == nil && !j.complete {
		m = &record{}
		j.members[e] = m
	}
	return m
}

// remaining returns how many doublings are left: one less for each stretch of the last ejection's length since it ended.
func (m *record) remaining(now int64) int {
	if m.last == 0 {
		return m.level
	}
	return int(max(int64(m.level)-max(now-m.until, 0)/m.last, 0))
}

// duration returns the length of an ejection after so many doublings, in ns.
func (j *Ejector) duration(level int) int64 {
	d := j.config.BaseTime
	for range level {
		if d > j.config.MaxTime/2 {
			return int64(j.config.MaxTime)
		}
		d *= 2
	}
	return int64(d)
}

// insert puts e in its place among the ejected. The lock is held.
func (j *Ejector) insert(e *balancer.Endpoint, until int64) {
	at := len(j.ejected)
	for at > 0 && j.members[j.ejected[at-1]].until > until {
		at--
	}
	j.ejected = append(j.ejected, nil)
	copy(j.ejected[at+1:], j.ejected[at:])
	j.ejected[at] = e
}

// release ends the soonest ejection. The lock is held.
func (j *Ejector) release() *balancer.Endpoint {
	e := j.ejected[0]
	copy(j.ejected, j.ejected[1:])
	j.ejected[len(j.ejected)-1] = nil
	j.ejected = j.ejected[:len(j.ejected)-1]
	j.members[e].out = false
	return e
}

// Due ends the ejections whose time is now or has passed, and returns their endpoints, soonest first.
func (j *Ejector) Due(now int64) (due []*balancer.Endpoint) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for len(j.ejected) > 0 && j.members[j.ejected[0]].until <= now {
		due = append(due, j.release())
	}
	if !j.complete {
		j.forgetDecayed(now)
	}
	return due
}

// forgetDecayed drops the records that say no more than none would. The lock is held.
func (j *Ejector) forgetDecayed(now int64) {
	for e, m := range j.members {
		if !m.out && m.remaining(now) == 0 {
			delete(j.members, e)
		}
	}
}

// Next returns when the next ejection ends; 0 if nothing is ejected.
func (j *Ejector) Next() int64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	if len(j.ejected) == 0 {
		return 0
	}
	return j.members[j.ejected[0]].until
}

// Ejected reports whether e is out of the pick.
func (j *Ejector) Ejected(e *balancer.Endpoint) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	m := j.members[e]
	return m != nil && m.out
}
