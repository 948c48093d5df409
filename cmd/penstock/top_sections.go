package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/penstock/penstock/gateway/live"
)

var sections = [...]string{"endpoints", "requests", "routes", "events", "pools"}

// table returns a section: a line of titles, and the rows.
func (v *topView) table(section int, paint style) []string {
	switch sections[section] {
	case "endpoints":
		return v.endpoints(paint)
	case "requests":
		return v.requests(paint)
	case "routes":
		return v.routes(paint)
	case "pools":
		return v.pools(paint)
	}
	return v.eventLines(paint)
}

// has says whether a row with these texts passes the filter.
func (v *topView) has(texts ...string) bool {
	return v.filter == "" || strings.Contains(strings.ToLower(strings.Join(texts, " ")), strings.ToLower(v.filter))
}

// sorts are the orders of endpoints.
var sorts = [...]struct {
	name    string
	compare func(a, b *row) int
}{
	{"address", func(a, b *row) int { return strings.Compare(a.Address, b.Address) }},
	{"state", func(a, b *row) int { return strings.Compare(a.State, b.State) }},
	{"in flight", func(a, b *row) int { return cmp.Compare(b.InFlight, a.InFlight) }},
	{"waiting", func(a, b *row) int { return cmp.Compare(value(b.Waiting), value(a.Waiting)) }},
	{"KV cache", func(a, b *row) int { return cmp.Compare(value(b.KVCache), value(a.KVCache)) }},
	{"share", func(a, b *row) int { return cmp.Compare(value(b.Recent), value(a.Recent)) }},
}

// row is an endpoint and its pool.
type row struct {
	*live.Endpoint
	pool string
}

// value is a number to sort by; what is not known is the least.
func value(v *float64) float64 {
	if v == nil {
		return -1
	}
	return *v
}

func (v *topView) endpoints(paint style) []string {
	var rows []row
	for i := range v.snapshot.Pools {
		p := &v.snapshot.Pools[i]
		for j := range p.Endpoints {
			if e := &p.Endpoints[j]; v.has(e.Address, p.Name, e.State, e.Cause) {
				rows = append(rows, row{e, p.Name})
			}
		}
	}
	slices.SortStableFunc(rows, func(a, b row) int {
		if v.reversed {
			a, b = b, a
		}
		return sorts[v.sort].compare(&a, &b)
	})
	t := table{{"ENDPOINT", "POOL", "STATE", ">IN FLIGHT", ">WAITING", ">KV CACHE", ">AGE", ">SHARE 10S", ">SHARE", ">REQUESTS", "CAUSE"}}
	for _, e := range rows {
		t = append(t, []string{e.Address, e.pool, e.State, fmt.Sprint(e.InFlight), whole(e.Waiting), shareText(e.KVCache), age(e.SignalAge),
			shareText(e.Recent), shareText(e.Share), fmt.Sprint(e.Requests), e.Cause})
	}
	return t.format(paint, func(r, c int) string {
		if c != 2 {
			return ""
		}
		return map[string]string{"ready": "good", "ejected": "bad", "unhealthy": "bad"}[rows[r].State]
	})
}

func (v *topView) requests(paint style) []string {
	t := table{{"REQUEST", "PHASE", ">AGE", ">TOKENS", "ENDPOINT", "POOL", "ROUTE", "MODEL"}}
	for i := range v.snapshot.Requests {
		r := &v.snapshot.Requests[i]
		if v.has(r.ID, r.Phase, r.Endpoint, r.Pool, r.Route, r.Model) {
			t = append(t, []string{cmp.Or(r.ID, "-"), r.Phase, age(&r.Age), fmt.Sprint(r.Tokens), cmp.Or(r.Endpoint, "-"), r.Pool, r.Route, cmp.Or(r.Model, "-")})
		}
	}
	if n := v.snapshot.Unlisted; n > 0 {
		t = append(t, []string{fmt.Sprintf("and %d more", n)})
	}
	return t.format(paint, func(int, int) string { return "" })
}

func (v *topView) routes(paint style) []string {
	t := table{{"ROUTE", "TAKES", "POOL", ">CONFIGURED", ">LAST MINUTE", ">SINCE START", ">REQUESTS"}}
	for i := range v.snapshot.Routes {
		r := &v.snapshot.Routes[i]
		for _, target := range r.Targets {
			to := target.Pool
			if target.Model != "" {
				to += " as " + target.Model
			}
			if v.has(r.Name, r.Match, to) {
				t = append(t, []string{r.Name, cmp.Or(r.Match, "everything"), to, shareText(&target.Configured), shareText(target.Measured), shareText(target.Overall),
					fmt.Sprint(target.Requests)})
			}
		}
	}
	return t.format(paint, func(int, int) string { return "" })
}

func (v *topView) eventLines(paint style) []string {
	t := table{{"TIME", "LEVEL", "KIND", "POOL", "EVENT"}}
	for _, e := range slices.Backward(v.events) {
		text := strings.TrimSpace(e.Text + "  " + e.Detail)
		if v.has(e.Kind, e.Level, e.Pool, text) {
			t = append(t, []string{e.Time.Local().Format("15:04:05"), e.Level, e.Kind, cmp.Or(e.Pool, "-"), text})
		}
	}
	return t.format(paint, func(r, c int) string {
		if c != 1 {
			return ""
		}
		return map[string]string{"warn": "warn", "error": "bad"}[t[r+1][1]]
	})
}

func (v *topView) pools(paint style) []string {
	t := table{{"POOL", "READY", ">QUEUED", ">IN FLIGHT", ">REQ/S", ">ERR/S", ">TOKENS/S", ">TTFT", ">TPOT", "BALANCE"}}
	for i := range v.snapshot.Pools {
		p := &v.snapshot.Pools[i]
		if !v.has(p.Name, p.Policy) {
			continue
		}
		t = append(t, []string{p.Name, fmt.Sprintf("%d of %d", p.Ready, len(p.Endpoints)), fmt.Sprint(p.Queued), fmt.Sprint(p.InFlight),
			number(p.Requests), number(p.Errors), number(p.OutputTokens), latency(p.TTFT), latency(p.TPOT), p.Policy})
	}
	return t.format(paint, func(int, int) string { return "" })
}
