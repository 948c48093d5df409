package traffic

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/penstock/penstock/bench/report"
)

// Bounds of what a period keeps; what is beyond only counts.
const (
	maxSamples   = 50      // of each outcome
	maxEndpoints = 1000    // that are told apart
	maxSeconds   = 7200    // with answers
	maxVisits    = 1 << 20 // of all users
	maxSpans     = 500     // of a user, in a report
)

// period counts what becomes of requests. A request counts where it ends, so that none gets lost between two periods. It is not safe for
// concurrent use: the driver has the lock.
type period struct {
	began     time.Time
	late      time.Duration
	kinds     map[Kind]*tally
	samples   []Sample
	endpoints map[server]*endpoint
	users     map[string][]visit
	visits    int
	leftOut   map[string]bool
}

// tally is a Tally in the making.
type tally struct {
	sent, carried, dropped, resent int64
	outcomes                       map[Outcome]int64
	ttft, maxGap                   report.Histogram
}

func (t *tally) underway() int64 {
	n := t.sent + t.carried
	for _, ended := range t.outcomes {
		n -= ended
	}
	return n
}

// endpoint is who answered.
type endpoint struct {
	ok      map[Kind]int64
	seconds map[int]map[Kind]int64
}

// visit is one answer to a user.
type visit struct {
	sent, known time.Time
	from        server
}

// newPeriod begins a period; before is the one that ends with it, if there is one.
func newPeriod(before *period) *period {
	p := &period{
		began: time.Now(), kinds: make(map[Kind]*tally), endpoints: make(map[server]*endpoint), users: make(map[string][]visit), leftOut: make(map[string]bool),
	}
	for _, k := range Kinds {
		p.kinds[k] = &tally{outcomes: make(map[Outcome]int64)}
		if before != nil {
			p.kinds[k].carried = before.kinds[k].underway()
		}
	}
	return p
}

// sent counts a request that begins, so much later than it was due.
func (p *period) sent(k Kind, late time.Duration) {
	p.kinds[k].sent++
	p.late = max(p.late, late)
}

// dropped counts a request that is not sent.
func (p *period) dropped(k Kind) { p.kinds[k].dropped++ }

// ended counts a request that has ended.
func (p *period) ended(e *exchange) {
	t := p.kinds[e.kind]
	t.outcomes[e.outcome]++
	if e.connections > 1 {
		t.resent++
	}
	if e.outcome == OK {
		t.ttft.Record(e.first.Sub(e.start))
		if e.pieces > 1 {
			t.maxGap.Record(e.maxGap)
		}
		p.answered(e)
	} else if p.total(e.outcome) <= maxSamples {
		p.samples = append(p.samples, sampleOf(e))
	}
	p.visited(e)
}

// total is how many requests of all kinds have an outcome.
func (p *period) total(o Outcome) (n int64) {
	for _, t := range p.kinds {
		n += t.outcomes[o]
	}
	return n
}

func sampleOf(e *exchange) Sample {
	return Sample{
		Kind: e.kind, Outcome: e.outcome, Sent: e.start, Ended: e.end, RequestID: e.id, User: e.user, Tokens: e.tokens,
		Endpoint: e.server.endpoint, Replica: e.server.replica, Label: e.server.label, Status: e.status, Code: e.code, Error: e.text,
		Pieces: e.pieces, Bytes: e.bytes, Connections: e.connections, Reused: e.reused,
	}
}

// secondOf is the second that a time since a period's beginning is in.
func secondOf(d time.Duration) int { return int(math.Floor(d.Seconds())) }

// answered counts an answer for who gave it.
func (p *period) answered(e *exchange) {
	who := p.endpoints[e.server]
	if who == nil {
		if len(p.endpoints) == maxEndpoints {
			p.leftOut["endpoints"] = true
			return
		}
		who = &endpoint{ok: make(map[Kind]int64), seconds: make(map[int]map[Kind]int64)}
		p.endpoints[e.server] = who
	}
	who.ok[e.kind]++
	at := secondOf(e.start.Sub(p.began))
	if at >= maxSeconds {
		p.leftOut["seconds"] = true
		return
	}
	if who.seconds[at] == nil {
		who.seconds[at] = make(map[Kind]int64)
	}
	who.seconds[at][e.kind]++
}

// visited notes who answered a user.
func (p *period) visited(e *exchange) {
	if e.user == "" || e.server == (server{}) {
		return
	}
	if p.visits == maxVisits {
		p.leftOut["users"] = true
		return
	}
	p.visits++
	p.users[e.user] = append(p.users[e.user], visit{e.start, e.known, e.server})
}

// report sums the period up.
func (p *period) report() *Report {
	r := &Report{Began: p.began, Taken: time.Now(), Valid: true, MaxLateSeconds: p.late.Seconds(), Kinds: make(map[Kind]Tally)}
	r.Samples, r.Endpoints = append([]Sample{}, p.samples...), []Endpoint{} // lists in JSON, also where they are empty
	for k, t := range p.kinds {
		r.Kinds[k] = Tally{
			Sent: t.sent, Carried: t.carried, Underway: t.underway(), Dropped: t.dropped, Outcomes: maps.Clone(t.outcomes), Resent: t.resent,
			TTFT: timesOf(&t.ttft), MaxGap: timesOf(&t.maxGap),
		}
		r.Valid = r.Valid && t.dropped == 0
	}
	for who, e := range p.endpoints {
		r.Endpoints = append(r.Endpoints, e.report(who))
	}
	slices.SortFunc(r.Endpoints, func(a, b Endpoint) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Label, b.Label)) })
	for name, visits := range p.users {
		if r.Users == nil {
			r.Users = make(map[string]User)
		}
		r.Users[name] = p.user(visits)
	}
	r.LeftOut = slices.Sorted(maps.Keys(p.leftOut))
	return r
}

func timesOf(h *report.Histogram) Times {
	return Times{Count: h.Count(), P50: h.Quantile(0.5), P90: h.Quantile(0.9), P99: h.Quantile(0.99), Max: h.Max()}
}

func (e *endpoint) report(who server) Endpoint {
	out := Endpoint{Name: cmp.Or(who.name(), "-"), Label: who.label, OK: maps.Clone(e.ok)}
	for _, at := range slices.Sorted(maps.Keys(e.seconds)) {
		out.Seconds = append(out.Seconds, Second{At: at, OK: maps.Clone(e.seconds[at])})
	}
	return out
}

// user sums up a user's answers, by the time at which their requests were sent: that is when an endpoint was chosen.
func (p *period) user(visits []visit) User {
	slices.SortStableFunc(visits, func(a, b visit) int { return a.sent.Compare(b.sent) })
	u := User{Answers: len(visits)}
	u.Labels = p.spans(visits, func(s server) string { return s.label })
	u.Endpoints = p.spans(visits, server.name)
	return u
}

// spans joins neighbours that have the same name.
func (p *period) spans(visits []visit, name func(server) string) (spans []Span) {
	for _, v := range visits {
		n := name(v.from)
		if last := len(spans) - 1; last >= 0 && spans[last].Name == n {
			spans[last].Last = v.sent
			spans[last].Answers++
			if v.known.Before(spans[last].Known) {
				spans[last].Known = v.known
			}
			continue
		}
		if len(spans) == maxSpans {
			p.leftOut["spans"] = true
			return spans
		}
		spans = append(spans, Span{Name: n, First: v.sent, Last: v.sent, Known: v.known, Answers: 1})
	}
	return spans
}
