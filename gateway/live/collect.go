package live

import (
	"cmp"
	"net/http"
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
	// MayWatch says whether who sent a request to watch still may; nil lets everybody. It is asked before anything is sent, as streams last, and what
	// the request came with may have been taken back meanwhile.
	MayWatch func(*http.Request) bool
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
	picks    map[*dispatch.Endpoint]int64 // nil in those that are older than rateWindow
}

// take makes a snapshot.
func (c *collector) take(now time.Time) *Snapshot {
	s := sample{at: now, counters: c.source.Counters(), picks: make(map[*dispatch.Endpoint]int64)}
	d := c.source.Dispatcher
	snapshot := &Snapshot{Time: now, Status: c.source.Status(), Pools: []Pool{}, Routes: []Route{}}
	var descriptions []dispatch.PoolDescription
	for _, p := range d.Pools() {
		description := p.Describe()
		descriptions = append(descriptions, description)
		for i := range description.Endpoints {
			e := &description.Endpoints[i]
			s.picks[e.Of] = e.Requests
		}
	}
	recent, minute := c.before(now, rateWindow), c.before(now, latencyWindow)
	if minute != nil {
		snapshot.Window = rounded(now.Sub(minute.at).Seconds(), 10)
	}
	ofRecent, ofMinute := s.since(recent), s.since(minute)
	for i := range descriptions {
		name := descriptions[i].Name
		snapshot.Pools = append(snapshot.Pools, pool(&descriptions[i], &s, recent, figures(ofRecent, ofMinute, func(d *change) *counted { return d.of(name) })))
	}
	snapshot.Total = figures(ofRecent, ofMinute, func(d *change) *counted { return &d.total })
	for i := range snapshot.Pools {
		snapshot.Total.Queued += snapshot.Pools[i].Queued
		snapshot.Total.InFlight += snapshot.Pools[i].InFlight
	}
	for _, r := range d.Routes() {
		snapshot.Routes = append(snapshot.Routes, route(r, &s, minute))
	}
	snapshot.Requests = requests(d)
	snapshot.Unlisted = max(0, snapshot.Active-len(snapshot.Requests))
	snapshot.Now = c.point(&s, snapshot, ofRecent)
	c.keep(s, snapshot.Now)
	return snapshot
}

// since is what was counted after an earlier reading; nil if there is none.
func (s *sample) since(before *sample) *change {
	if before == nil {
		return nil
	}
	return s.counters.since(before.counters, s.at.Sub(before.at).Seconds())
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

// figures are what requests met: rates of what recent has, latencies of what minute has. Of what is nil nothing is known.
func figures(recent, minute *change, of func(*change) *counted) (f Figures) {
	if recent != nil {
		d := of(recent)
		per := func(n float64) *float64 { return new(rate(n, recent.seconds)) }
		f.Requests, f.Errors, f.Aborts = per(float64(d.Requests)), per(float64(d.Errors)), per(float64(d.Aborts))
		f.PromptTokens, f.OutputTokens = per(d.Prompt), per(d.Output)
	}
	if minute != nil {
		d := of(minute)
		f.TTFT, f.TPOT = d.TTFT.latency(), d.TPOT.latency()
	}
	return f
}

// rate is per second, to a hundredth.
func rate(n, seconds float64) float64 {
	if seconds <= 0 {
		return 0
	}
	return rounded(n/seconds, 100)
}

func pool(d *dispatch.PoolDescription, s, recent *sample, f Figures) Pool {
	p := Pool{Name: d.Name, Policy: d.Policy, Ready: d.Ready, Figures: f, Endpoints: make([]Endpoint, 0, len(d.Endpoints))}
	p.Queued, p.InFlight = d.Queued, d.InFlight
	var all, allRecent int64
	last := make([]int64, len(d.Endpoints))
	for i := range d.Endpoints {
		e := &d.Endpoints[i]
		if recent != nil && recent.picks != nil {
			last[i] = max(0, e.Requests-recent.picks[e.Of])
		}
		all += e.Requests
		allRecent += last[i]
	}
	for i := range d.Endpoints {
		e := endpoint(&d.Endpoints[i])
		e.Share, e.Recent = share(e.Requests, all), share(last[i], allRecent)
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
		e.SignalAge = new(rounded(r.AgeSeconds, 10))
	}
	return new(rounded(r.Value, 1e4))
}

// share is a part of a whole, to a thousandth; nil where there is no whole.
func share[N int64 | uint64 | int](part, whole N) *float64 {
	if whole == 0 {
		return nil
	}
	return new(rounded(float64(part)/float64(whole), 1000))
}

// route shows a route.
func route(r *dispatch.Route, s, minute *sample) Route {
	shown := Route{Name: r.Name, Match: match(r), Targets: make([]Target, len(r.Targets))}
	weights := 0
	var all, allRecent uint64
	recent := make([]uint64, len(r.Targets))
	for i := range r.Targets {
		t := &r.Targets[i]
		k := TargetKey{r.Name, t.Pool, t.Model}
		n := s.counters.target(k)
		shown.Targets[i] = Target{Pool: t.Pool, Model: t.Model, Requests: n}
		if minute != nil {
			recent[i] = grown(n, minute.counters.target(k))
		}
		weights += t.Weight
		all += n
		allRecent += recent[i]
	}
	for i := range shown.Targets {
		t := &shown.Targets[i]
		t.Configured = 1
		if configured := share(r.Targets[i].Weight, weights); configured != nil && len(shown.Targets) > 1 {
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
		r.Age = rounded(time.Duration(max(0, now-l.Started)).Seconds(), 10)
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

// point is what charts show of a snapshot. recent is as in figures.
func (c *collector) point(s *sample, shown *Snapshot, recent *change) Point {
	p := Point{Time: s.at.UnixMilli(), InFlight: shown.Total.InFlight, Queued: shown.Total.Queued}
	if len(c.samples) > 0 {
		d := s.since(&c.samples[len(c.samples)-1])
		per := func(n float64) *float64 { return new(rate(n, d.seconds)) }
		p.Requests, p.Errors, p.OutputTokens = per(float64(d.total.Requests)), per(float64(d.total.Errors)), per(d.total.Output)
	}
	if recent != nil {
		if l := recent.total.TTFT.latency(); l != nil {
			p.TTFT = &l.P95
		}
		if l := recent.total.TPOT.latency(); l != nil {
			p.TPOT = &l.P95
		}
	}
	return p
}
