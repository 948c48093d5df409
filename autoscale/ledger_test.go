package autoscale

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

func at(address string) Peer { return Peer{ID: "uid-" + address, Address: address} }

func serving(address string) Peer {
	p := at(address)
	p.Serving = true
	return p
}

// says is a report with a number of outstanding requests of the pool main.
func says(instance string, outstanding int64) *report {
	return &report{Instance: instance, Synced: true, Pools: map[string]numbers{"main": load(outstanding)}}
}

func load(outstanding int64) numbers {
	return (&Load{Outstanding: outstanding, Queued: outstanding / 2, Tokens: 100 * outstanding}).numbers()
}

// outstanding is the metric of the pool main where this replica has 1, or the error.
func (l *ledger) outstanding() string {
	all, err := l.shares("main", load(1))
	if err != nil {
		return err.Error()
	}
	v, err := findMetric(defaultMetric).total(all)
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(v)
}

// TestTruthRule goes through what can happen to replicas, in the order in which it happens. Each step says what is known after it, where
// this replica has one request.
func TestTruthRule(t *testing.T) {
	type step struct {
		do   func(*ledger)
		want string // part of the error, or the number
	}
	list := func(want string, peers ...Peer) step { return step{func(l *ledger) { l.list(peers) }, want} }
	answer := func(want, address string, r *report) step {
		return step{func(l *ledger) { l.answered(at(address), r) }, want}
	}
	fail := func(want, address string) step { return step{func(l *ledger) { l.failed(at(address)) }, want} }
	unsynced := func(r *report) *report { r.Synced = false; return r }
	other := func(pool string) *report {
		return &report{Instance: "b", Synced: true, Pools: map[string]numbers{pool: load(7)}}
	}
	const notListed, unheard = "has not been read yet", "have never answered this one: b"
	for name, steps := range map[string][]step{
		"nothing was read":                          {{func(*ledger) {}, notListed}},
		"alone, and not listed":                     {list("1")},
		"an answer of somebody who is not listed":   {answer(notListed, "b", says("b", 5)), list("1"), answer("1", "b", says("b", 5))},
		"this replica is listed":                    {list("never answered this one: a", serving("a")), answer("1", "a", says("self", 99))},
		"this replica is listed and cannot be met":  {list("never answered this one: a", serving("a")), fail("never answered this one: a", "a")},
		"a serving replica has to answer":           {list(unheard, serving("b")), fail(unheard, "b"), fail(unheard, "b"), answer("6", "b", says("b", 5))},
		"all of them have to":                       {list("2 of the gateway's replicas have never answered this one: b, c", serving("b"), serving("c")), answer("1 of the gateway's replicas have never answered this one: c", "b", says("b", 5)), answer("9", "c", says("c", 3))},
		"one that never served is asked thrice":     {list(unheard, at("b")), fail(unheard, "b"), fail(unheard, "b"), fail("1", "b"), fail("1", "b")},
		"and counts when it answers":                {list(unheard, at("b")), answer("6", "b", says("b", 5))},
		"and must answer when it serves":            {list(unheard, at("b")), fail(unheard, "b"), fail(unheard, "b"), fail("1", "b"), list(unheard, serving("b")), fail(unheard, "b"), answer("6", "b", says("b", 5))},
		"one that served once stays unheard":        {list(unheard, serving("b")), list(unheard, at("b")), fail(unheard, "b"), list("1")},
		"a silent one counts as before":             {list(unheard, serving("b")), answer("6", "b", says("b", 5)), fail("6", "b"), fail("6", "b"), list("6", at("b")), list("6", serving("b"))},
		"until it is no longer listed":              {list(unheard, serving("b")), answer("6", "b", says("b", 5)), fail("6", "b"), list("1"), list(unheard, serving("b"))},
		"one that drains counts to its end":         {list(unheard, serving("b")), answer("6", "b", says("b", 5)), list("6", at("b")), answer("3", "b", says("b", 2)), fail("3", "b"), list("1")},
		"a fresh replica hears one that drains":     {list(unheard, at("b")), answer("6", "b", says("b", 5))},
		"one starts anew in its pod":                {list(unheard, serving("b")), answer("6", "b", says("b", 5)), fail("6", "b"), answer("1", "b", says("b2", 0)), answer("3", "b", says("b2", 2))},
		"an address goes to another pod":            {list(unheard, serving("b")), answer("6", "b", says("b", 5)), list(unheard, Peer{ID: "new", Address: "b", Serving: true}), answer(unheard, "b", says("late", 7))},
		"two addresses of one instance count once":  {list("never answered", serving("b"), serving("c")), answer("never answered", "b", says("b", 5)), answer("6", "c", says("b", 5)), fail("6", "b"), answer("8", "c", says("b", 7)), fail("8", "c"), answer("10", "b", says("b", 9))},
		"a pool that it does not have":              {list(unheard, serving("b")), answer("1", "b", other("else"))},
		"a pool that it has not found yet":          {list(unheard, serving("b")), answer("b has not found all its pools", "b", unsynced(other("else"))), answer("1", "b", other("else"))},
		"not found yet by one that does not serve":  {list(unheard, at("b")), answer("1", "b", unsynced(other("else"))), list("b has not found all its pools", serving("b"))},
		"numbers of one that has not found all":     {list(unheard, serving("b")), answer("8", "b", unsynced(other("main")))},
		"a version without the metric":              {list(unheard, serving("b")), answer("replica b does not tell its outstanding requests", "b", &report{Instance: "b", Synced: true, Pools: map[string]numbers{"main": {}}}), answer("6", "b", says("b", 5))},
		"its silence does not make it of a version": {list(unheard, serving("b")), answer("replica b does not tell", "b", &report{Instance: "b", Pools: map[string]numbers{"main": {}}}), fail("replica b does not tell", "b")},
		"a reading that says nothing of pools":      {list(unheard, serving("b")), answer("1", "b", &report{Instance: "b", Synced: true})},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLedger("self")
			for i, s := range steps {
				s.do(l)
				got := l.outstanding()
				if got != s.want && (s.want == "" || !strings.Contains(got, s.want) || strings.Trim(s.want, "0123456789") == "") {
					t.Fatalf("after step %d: %s, want %s", i+1, got, s.want)
				}
			}
		})
	}
}

// TestTruthRuleAgainstAllHistories tries every sequence of seven events of one peer and holds the ledger against the rule said another way:
// by looking at the whole history.
func TestTruthRuleAgainstAllHistories(t *testing.T) {
	const (
		listServing = iota
		listNotServing
		delist
		answers
		silent
		events
	)
	apply := func(l *ledger, event int) {
		switch event {
		case listServing:
			l.list([]Peer{serving("b")})
		case listNotServing:
			l.list([]Peer{at("b")})
		case delist:
			l.list(nil)
		case answers:
			l.answered(at("b"), says("b", 5))
		case silent:
			l.failed(at("b"))
		}
	}
	// want looks back to where the peer was listed last.
	want := func(history []int) string {
		lists := func(e int) bool { return e == listServing || e == listNotServing }
		if !slices.ContainsFunc(history, func(e int) bool { return lists(e) || e == delist }) {
			return "unknown"
		}
		gone := -1
		for i, e := range history {
			if e == delist {
				gone = i
			}
		}
		life := history[gone+1:]
		first := slices.IndexFunc(life, lists)
		switch {
		case first < 0:
			return "1"
		case slices.Contains(life[first:], answers):
			return "6"
		case slices.Contains(life, listServing):
			return "unknown"
		case count(life[first:], silent) >= worthTelling:
			return "1"
		}
		return "unknown"
	}
	tried := 0
	var try func(history []int)
	try = func(history []int) {
		l := newLedger("self")
		for _, e := range history {
			apply(l, e)
		}
		got := l.outstanding()
		if got != "1" && got != "6" {
			got = "unknown"
		}
		if w := want(history); got != w {
			t.Fatalf("after %v: %s (%s), want %s", history, got, l.outstanding(), w)
		}
		tried++
		if len(history) < 7 {
			for e := range events {
				try(append(slices.Clip(history), e))
			}
		}
	}
	try(nil)
	if tried < 90000 {
		t.Fatalf("tried %d histories", tried)
	}
}

func TestMetricsOfSeveralReplicas(t *testing.T) {
	known := func(v float64) *float64 { return &v }
	three := func(a, b, c *float64) []share {
		all := []share{{"", load(2)}, {"b", load(4)}, {"c", load(6)}}
		all[0].KVCache, all[1].KVCache, all[2].KVCache = a, b, c
		return all
	}
	for _, c := range []struct {
		metric string
		shares []share
		want   string
	}{
		{"penstock_outstanding_requests", three(nil, nil, nil), "12"},
		{"penstock_queue_depth", three(nil, nil, nil), "6"},
		{"penstock_outstanding_tokens", three(nil, nil, nil), "1200"},
		{"penstock_kv_cache_utilization", three(known(1.5), known(2.5), nil), "2"},
		{"penstock_kv_cache_utilization", three(nil, nil, known(0)), "0"},
		{"penstock_kv_cache_utilization", three(nil, nil, nil), "no replica of the gateway has read the metrics of all the pool's endpoints within the last minute; the pool's engine says which they are"},
		{"penstock_queue_depth", []share{{"", load(1)}, {"b", numbers{}}}, "replica b does not tell its queued requests: it may be of another version"},
	} {
		v, err := findMetric(c.metric).total(c.shares)
		got := fmt.Sprint(v)
		if err != nil {
			got = err.Error()
		}
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.metric, got, c.want)
		}
	}
	if findMetric("requests") != nil {
		t.Error("there is a metric of any name")
	}
}

func count(all []int, what int) (n int) {
	for _, e := range all {
		if e == what {
			n++
		}
	}
	return n
}

func TestCountOfStates(t *testing.T) {
	l := newLedger("self")
	l.list([]Peer{serving("a"), serving("b"), serving("c"), serving("d"), at("e"), at("f")})
	l.answered(at("a"), says("self", 0))
	l.answered(at("b"), says("b", 0))
	l.answered(at("c"), says("c", 0))
	for i, want := range []bool{false, false, true, false} {
		if news := l.failed(at("c")); news != want {
			t.Errorf("failure %d is news: %v, want %v", i+1, news, want)
		}
	}
	for range worthTelling {
		l.failed(at("e"))
	}
	if l.failed(at("nobody")) {
		t.Error("the silence of somebody who is not listed is news")
	}
	for state, want := range map[State]int{Answering: 1, Silent: 1, Unheard: 2, Idle: 1} {
		if got := l.count()[state]; got != want {
			t.Errorf("%d replicas are %s, want %d", got, state, want)
		}
	}
}

func TestReportsThatCannotBe(t *testing.T) {
	minus, negative := int64(-1), -0.5
	for _, n := range []numbers{{Queued: &minus}, {Outstanding: &minus}, {Tokens: &minus}, {KVCache: &negative}} {
		if n.check() == nil {
			t.Errorf("%+v is taken", n)
		}
	}
	if err := load(3).check(); err != nil {
		t.Error(err)
	}
}
