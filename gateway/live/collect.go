package live

import (
	"cmp"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/gateway/dispatch"
)

const (
	rateWindow    = 10 * time.Second
	latencyWindow = time.Minute
	historyMost   = 600 // points: 10 minutes, 5 if something happens all the time
	requestsMost  = 100
)

// Source is what a Hub reads.
type Source struct {
	Dispatcher *dispatch.Dispatcher
	Status     func() Status
	// Counters reads the counters of requests. What it returns is kept and must not change.
	Counters func() *Counters
}

// collector makes snapshots. It keeps the readings of the last minute that it has taken.
type collector struct {
	source  Source
	samples []sample // by time
	points  []Point  // by time, at most historyMost
}

// sample is what was read at one time.
type sample struct {
	at       time.Time
	counters *Counters
	picks    map[pick]int64 // nil in those that are older than rateWindow
}

// pick names an endpoint.
type pick struct{ pool, address string }

// take makes a snapshot.
func (c *collector) take(now time.Time) *Snapshot {
	s := sample{at: now, counters: c.source.Counters(), picks: make(map[pick]int64)}
	d := c.source.Dispatcher
	snapshot := &Snapshot{Time: now, Status: c.source.Status(), Pools: []Pool{}, Routes: []Route{}}
	var descriptions []dispatch.PoolDescription
	for _, p := range d.Pools() {
		description := p.Describe()
		descriptions = append(descriptions, description)
		for i := range description.Endpoints {
			e := &description.Endpoints[i]
			s.picks[pick{p.Name, e.Address}] += e.Requests
		}
	}
	recent, minute := c.before(now, rateWindow), c.before(now, latencyWindow)
	if minute != nil {
		snapshot.Window = math.Round(now.Sub(minute.at).Seconds()*10) / 10
	}
	for i := range descriptions {
		snapshot.Pools = append(snapshot.Pools, c.pool(&descriptions[i], &s, recent, minute))
	}
	snapshot.Total = figures(&s, recent, minute, func(string) bool { return true })
	for i := range snapshot.Pools {
		snapshot.Total.Queued += snapshot.Pools[i].Queued
		snapshot.Total.InFlight += snapshot.Pools[i].InFlight
	}
	for _, r := range d.Routes() {
		snapshot.Routes = append(snapshot.Routes, route(r, &s, minute))
	}
	snapshot.Requests = requests(d)
	snapshot.Unlisted = max(0, snapshot.Active-len(snapshot.Requests))
	snapshot.Now = c.point(&s, snapshot)
	c.keep(s, snapshot.Now)
	return snapshot
}

// before returns the reading to compare with for a window that ends now: the last one from before it began, or else the first one within it. It
// is nil if there is none.
func (c *collector) before(now time.Time, window time.Duration) *sample {
	// A tick that comes late is no reason to leave a second out.
	from := now.Add(-window).Add(soonest / 2)
	for i := len(c.samples) - 1; i >= 0; i-- {
		if c.samples[i].at.After(from) {
			continue
		}
		if now.Sub(c.samples[i].at) <= window+window/5 {
			return &c.samples[i]
		}
		if i+1 < len(c.samples) {
			return &c.samples[i+1]
		}
		return nil
	}
	if len(c.samples) > 0 {
		return &c.samples[0]
	}
	return nil
}

// keep keeps a reading and a point, and drops what is older than any window.
func (c *collector) keep(s sample, p Point) {
	c.samples = slices.DeleteFunc(c.samples, func(old sample) bool { return s.at.Sub(old.at) > latencyWindow+latencyWindow/5 })
	for i := range c.samples {
		if s.at.Sub(c.samples[i].at) > rateWindow+rateWindow/5 {
			c.samples[i].picks = nil
		}
	}
	c.samples = append(c.samples, s)
	if len(c.points) == historyMost {
		c.points = slices.Delete(c.points, 0, 1)
	}
	c.points = append(c.points, p)
}

// figures are what requests of the chosen pools met since the readings before.
func figures(s, recent, minute *sample, chosen func(pool string) bool) (f Figures) {
	if recent == nil {
		return f
	}
	ofPool := func(k Key) bool { return chosen(k.Pool) }
	seconds := s.at.Sub(recent.at).Seconds()
	now := s.counters.sum(ofPool)
	delta := now.since(recent.counters.sum(ofPool))
	f.Requests, f.Errors, f.Aborts = rate(float64(delta.Requests), seconds), rate(float64(delta.Errors), seconds), rate(float64(delta.Aborts), seconds)
	t, before := s.counters.tokens(chosen), recent.counters.tokens(chosen)
	f.PromptTokens, f.OutputTokens = rate(t.Prompt-before.Prompt, seconds), rate(t.Output-before.Output, seconds)
	if minute != nil {
		delta = now.since(minute.counters.sum(ofPool))
	}
	f.TTFT, f.TPOT = delta.TTFT.latency(), delta.TPOT.latency()
	return f
}

// rate is per second, to a hundredth.
func rate(n, seconds float64) float64 {
	if seconds <= 0 || n < 0 {
		return 0
	}
	return math.Round(n/seconds*100) / 100
}

func (c *collector) pool(d *dispatch.PoolDescription, s, recent, minute *sample) Pool {
	p := Pool{Name: d.Name, Policy: d.Policy, Ready: d.Ready, Endpoints: make([]Endpoint, 0, len(d.Endpoints))}
	p.Figures = figures(s, recent, minute, func(pool string) bool { return pool == d.Name })
	p.Queued, p.InFlight = d.Queued, d.InFlight
	var all, allRecent int64
	of := func(address string) (total, last int64) {
		k := pick{d.Name, address}
		total = s.picks[k]
		if recent != nil && recent.picks != nil {
			last = max(0, total-recent.picks[k])
		}
		return total, last
	}
	for i := range d.Endpoints {
		total, last := of(d.Endpoints[i].Address)
		all += total
		allRecent += last
	}
	for i := range d.Endpoints {
		e := endpoint(&d.Endpoints[i])
		total, last := of(e.Address)
		e.Share, e.Recent = share(total, all), share(last, allRecent)
		p.Endpoints = append(p.Endpoints, e)
	}
	return p
}

func endpoint(d *dispatch.EndpointDescription) Endpoint {
	e := Endpoint{Address: d.Address, State: d.State, Cause: d.Cause, InFlight: d.InFlight, Requests: d.Requests}
	if e.Cause == "" && d.LastFailure != nil && d.State == dispatch.Ejected.String() {
		e.Cause = d.LastFailure.Cause
	}
	if l := d.Load; l != nil {
		e.Waiting, e.Running, e.KVCache = e.reading(l.Waiting), e.reading(l.Running), e.reading(l.KVCache)
	}
	return e
}

// reading returns the value of a reading, nil where there is none, and makes its age the endpoint's if that is the greatest.
func (e *Endpoint) reading(r *dispatch.ReadingDescription) *float64 {
	if r == nil {
		return nil
	}
	if e.SignalAge == nil || *e.SignalAge < r.AgeSeconds {
		e.SignalAge = new(math.Round(r.AgeSeconds*10) / 10)
	}
	return new(math.Round(r.Value*1e4) / 1e4)
}

// share is a part of a whole, to a thousandth; nil where there is no whole.
func share[N int64 | uint64 | int](part, whole N) *float64 {
	if whole == 0 {
		return nil
	}
	return new(math.Round(float64(part)/float64(whole)*1000) / 1000)
}

// route shows a route. Targets of one pool, as with two models, are taken together, as requests are counted by pool.
func route(r *dispatch.Route, s, minute *sample) Route {
	shown := Route{Name: r.Name, Match: match(r)}
	weights, total := make(map[string]int), 0
	for i := range r.Targets {
		t := &r.Targets[i]
		if _, known := weights[t.Pool]; !known {
			shown.Targets = append(shown.Targets, Target{Pool: t.Pool})
		}
		weights[t.Pool] += t.Weight
		total += t.Weight
	}
	counted := func(at *sample, pool string) uint64 {
		if one := at.counters.Series[Key{r.Name, pool}]; one != nil {
			return one.Requests
		}
		return 0
	}
	recent := make([]uint64, len(shown.Targets))
	var all, allRecent uint64
	for i := range shown.Targets {
		t := &shown.Targets[i]
		t.Requests = counted(s, t.Pool)
		if minute != nil {
			recent[i] = less(t.Requests, counted(minute, t.Pool))
		}
		all += t.Requests
		allRecent += recent[i]
	}
	for i := range shown.Targets {
		t := &shown.Targets[i]
		t.Configured = 1
		if configured := share(weights[t.Pool], total); configured != nil && len(shown.Targets) > 1 {
			t.Configured = *configured
		}
		t.Measured, t.Overall = share(recent[i], allRecent), share(t.Requests, all)
	}
	return shown
}

// match says which requests a route takes.
func match(r *dispatch.Route) string {
	var parts []string
	for _, p := range [...]struct{ what, value string }{
		{"model", r.Model}, {"host", r.Host}, {"method", r.Method}, {"path", r.Path}, {"service", r.GRPCService}, {"method", r.GRPCMethod},
	} {
		if p.value != "" {
			parts = append(parts, p.what+" "+p.value)
		}
	}
	if n := len(r.Headers); n == 1 {
		parts = append(parts, "a header")
	} else if n > 1 {
		parts = append(parts, "headers")
	}
	return strings.Join(parts, ", ")
}

// requests are the oldest of those that are listed.
func requests(d *dispatch.Dispatcher) []Request {
	var listed []*dispatch.Listed
	d.Underway(func(l *dispatch.Listed) { listed = append(listed, l) })
	slices.SortFunc(listed, func(a, b *dispatch.Listed) int {
		return cmp.Or(cmp.Compare(a.Started, b.Started), cmp.Compare(a.ID, b.ID))
	})
	now := dispatch.Now()
	shown := make([]Request, 0, min(len(listed), requestsMost))
	for _, l := range listed[:min(len(listed), requestsMost)] {
		r := Request{ID: l.ID, Route: l.Route, Pool: l.Pool, Model: l.Model, Phase: PhaseQueued}
		r.Age = math.Round(time.Duration(max(0, now-l.Started)).Seconds()*10) / 10
		tokens, streaming := l.Streaming()
		if e := l.Endpoint(); e != nil {
			r.Endpoint, r.Phase = e.Address, PhaseWaiting
		}
		if streaming {
			r.Phase, r.Tokens = PhaseStreaming, tokens
		}
		shown = append(shown, r)
	}
	return shown
}

// point is what charts show of a snapshot.
func (c *collector) point(s *sample, shown *Snapshot) Point {
	p := Point{Time: s.at.UnixMilli(), InFlight: shown.Total.InFlight, Queued: shown.Total.Queued}
	all := func(Key) bool { return true }
	now := s.counters.sum(all)
	if len(c.samples) > 0 {
		last := &c.samples[len(c.samples)-1]
		seconds := s.at.Sub(last.at).Seconds()
		delta := now.since(last.counters.sum(all))
		p.Requests, p.Errors = new(rate(float64(delta.Requests), seconds)), new(rate(float64(delta.Errors), seconds))
		every := func(string) bool { return true }
		p.OutputTokens = new(rate(s.counters.tokens(every).Output-last.counters.tokens(every).Output, seconds))
	}
	if recent := c.before(s.at, rateWindow); recent != nil {
		delta := now.since(recent.counters.sum(all))
		if l := delta.TTFT.latency(); l != nil {
			p.TTFT = &l.P95
		}
		if l := delta.TPOT.latency(); l != nil {
			p.TPOT = &l.P95
		}
	}
	return p
}
