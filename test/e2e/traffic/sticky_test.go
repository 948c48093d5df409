package traffic

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/bench/mock"
)

// TestStickyRollout raises a split's weight step by step, as a rollout does, and finds in the report what a suite wants to know of it: the
// new version's share in each step, and that no user who had it goes back.
func TestStickyRollout(t *testing.T) {
	old, next := startMock(t, mock.Options{Label: "v1"}), startMock(t, mock.Options{Label: "v2"})
	yaml := func(weight int, sticky string) string {
		return fmt.Sprintf(`
pools:
  old: {endpoints: ["http://%s"]}
  new: {endpoints: ["http://%s"]}
routes:
  - match: {path: /}
    split: [{pool: old, weight: %d}, {pool: new, weight: %d}]
%s`, old.Addr(), next.Addr(), 100-weight, weight, sticky)
	}
	const sticky = "    sticky: {header: x-user-id}\n"
	const users = 100
	g := startGateway(t, yaml(0, sticky))
	d := newDriver(t, g.Addr().String(), Options{Users: users, MinTokens: 1, MaxTokens: 2})
	for _, weight := range []int{0, 25, 50, 100} {
		g.reload(yaml(weight, sticky))
		began := time.Now()
		for range users {
			for _, k := range Kinds {
				d.one(k)
			}
		}
		r := d.Report()
		at, want := r.UsersAt(time.Now()), float64(users*weight)/100
		if n := float64(at["v2"]); n < want-12 || n > want+12 || at["v1"]+at["v2"] != users {
			t.Errorf("at weight %d users have %v", weight, at)
		}
		for _, m := range r.Moves() {
			if m.Between[0].After(began) {
				t.Errorf("%+v moved while the weight was %d", m, weight)
			}
		}
	}
	r := d.Report()
	if back := r.MovesBack("v1", "v2"); len(back) > 0 || len(r.Moves()) != users || r.NotOK() > 0 {
		t.Errorf("%d moves of %d users, of which back %v; %d requests are not well", len(r.Moves()), users, back, r.NotOK())
	}
}

// TestMoves makes users go forth and back, by a gateway that is not sticky.
func TestMoves(t *testing.T) {
	old, next := startMock(t, mock.Options{Label: "v1"}), startMock(t, mock.Options{Label: "v2"})
	only := func(s *mock.Server) string {
		return fmt.Sprintf("pools: {main: {endpoints: [\"http://%s\"]}}\n", s.Addr())
	}
	g := startGateway(t, only(old))
	d := newDriver(t, g.Addr().String(), Options{Users: 2, MinTokens: 1, MaxTokens: 2})
	var between time.Time
	for i, s := range []*mock.Server{old, next, old} {
		g.reload(only(s))
		if i == 1 {
			between = time.Now()
		}
		for range 2 {
			for _, k := range Kinds {
				if e := d.one(k); e.outcome != OK || e.server.endpoint != s.Addr() {
					t.Errorf("%s is %s from %+v", k, e.outcome, e.server)
				}
			}
		}
	}
	r := d.Report()
	if at := r.UsersAt(between); !maps.Equal(at, map[string]int{"v1": 2}) {
		t.Errorf("before the first change users have %v", at)
	}
	if n := len(r.Moves()); n != 4 {
		t.Errorf("%d moves, want 2 of each user: %v", n, r.Moves())
	}
	back := r.MovesBack("v1", "v2")
	if len(back) != 2 || back[0].User != "user-0" || back[1].User != "user-1" || back[0].From != "v2" || back[0].To != "v1" {
		t.Errorf("moves back: %v", back)
	}
	for name, u := range r.Users {
		if u.Answers != 12 || len(u.Labels) != 3 || len(u.Endpoints) != 3 || u.Endpoints[1].Name != next.Addr() || u.Labels[1].Answers != 4 {
			t.Errorf("%s: %+v", name, u)
		}
	}
}

// Which of two requests came first is not known where the second was sent before the first was answered.
func TestWhatWasUnderwayAtOnceIsNoMove(t *testing.T) {
	type sending struct {
		sent, known int // in seconds
		label       string
	}
	for _, c := range []struct {
		name     string
		requests []sending
		back     [][2]int // when the new label was known, and the old one's request sent
	}{
		{"one after the other", []sending{{1, 2, "v1"}, {3, 4, "v2"}, {5, 6, "v1"}}, [][2]int{{4, 5}}},
		{"at once", []sending{{1, 2, "v1"}, {3, 5, "v2"}, {4, 6, "v1"}, {7, 8, "v2"}}, nil},
		{"at once and again", []sending{{3, 5, "v2"}, {4, 6, "v1"}, {7, 8, "v1"}}, [][2]int{{5, 7}}},
		{"after an earlier answer", []sending{{1, 9, "v2"}, {2, 3, "v2"}, {4, 5, "v1"}}, [][2]int{{3, 4}}},
		{"after an answer before the last", []sending{{1, 2, "v2"}, {2, 4, "v1"}, {3, 9, "v2"}, {5, 6, "v1"}}, [][2]int{{2, 5}}},
	} {
		p := newPeriod(nil)
		at := func(s int) time.Time { return p.began.Add(time.Duration(s) * time.Second) }
		for _, r := range c.requests {
			p.sent(SSE, 0)
			p.ended(&exchange{kind: SSE, user: "u", outcome: OK, start: at(r.sent), known: at(r.known), server: server{replica: r.label, label: r.label}})
		}
		var want []Move
		for _, b := range c.back {
			want = append(want, Move{"u", "v2", "v1", [2]time.Time{at(b[0]), at(b[1])}})
		}
		if back := p.report().MovesBack("v1", "v2"); !slices.Equal(back, want) {
			t.Errorf("%s: moved back %v, want %v", c.name, back, want)
		}
	}
}

// Users' histories go by the times at which requests were sent, whichever ended first.
func TestHistoryGoesBySending(t *testing.T) {
	p := newPeriod(nil)
	at := func(s int) time.Time { return p.began.Add(time.Duration(s) * time.Second) }
	for _, c := range []struct {
		sent  int
		label string
	}{{3, "v2"}, {1, "v1"}, {4, "v2"}, {2, "v1"}, {-1, "v1"}} {
		e := &exchange{kind: SSE, user: "u", outcome: OK, start: at(c.sent), known: at(c.sent + 1), server: server{replica: "r" + c.label, label: c.label}}
		p.sent(SSE, 0)
		p.ended(e)
	}
	r := p.report()
	want := []Span{{"v1", at(-1), at(2), at(0), 3}, {"v2", at(3), at(4), at(4), 2}}
	if got := r.Users["u"].Labels; !slices.Equal(got, want) {
		t.Errorf("history %v, want %v", got, want)
	}
	if len(r.MovesBack("v1", "v2")) != 0 || len(r.Moves()) != 1 || r.Moves()[0].Between != [2]time.Time{at(2), at(3)} {
		t.Errorf("moves %v", r.Moves())
	}
	for _, c := range []struct {
		from, until int
		share       float64
		of          int64
	}{{0, 3, 0, 2}, {3, 5, 1, 2}, {2, 4, 0.5, 2}, {-5, 10, 0.4, 5}, {5, 9, 0, 0}} {
		if share, of := r.Share("v2", c.from, c.until); share != c.share || of != c.of {
			t.Errorf("from %d until %d: a share of %v of %d, want %v of %d", c.from, c.until, share, of, c.share, c.of)
		}
	}
	if r.Second(at(-1)) != -1 || r.Second(at(2)) != 2 || r.Second(at(3).Add(-1)) != 2 {
		t.Error("times are in other seconds")
	}
}

// What grows with a run is bounded, and the report says what is missing.
func TestReportIsBounded(t *testing.T) {
	p := newPeriod(nil)
	if b, err := json.Marshal(p.report()); err != nil || !strings.Contains(string(b), `"samples":[],"endpoints":[]`) {
		t.Errorf("a report of nothing is %s, %v", b, err)
	}
	end := func(user string, o Outcome, s server, after time.Duration) {
		p.sent(Unary, 0)
		p.ended(&exchange{kind: Unary, user: user, outcome: o, start: p.began.Add(after), server: s})
	}
	for i := range maxEndpoints + 10 {
		end("", OK, server{replica: strconv.Itoa(i)}, 0)
		end("", Cut, server{}, 0)
	}
	end("", Truncated, server{}, 0)
	end("", OK, server{replica: "0"}, maxSeconds*time.Second)
	for i := range maxSpans + 10 {
		end("u", Cut, server{replica: "0", label: strconv.Itoa(i)}, time.Duration(i))
	}
	r := p.report()
	if want := []string{"endpoints", "seconds", "spans"}; !slices.Equal(r.LeftOut, want) {
		t.Errorf("left out are %v, want %v", r.LeftOut, want)
	}
	if len(r.Endpoints) != maxEndpoints || len(r.Samples) != maxSamples+1 || r.Samples[maxSamples].Outcome != Truncated || len(r.Users["u"].Labels) != maxSpans {
		t.Errorf("%d endpoints, %d samples, %d spans", len(r.Endpoints), len(r.Samples), len(r.Users["u"].Labels))
	}
	if r.Count(OK) != maxEndpoints+11 || r.NotOK() != maxEndpoints+11+maxSpans+10 {
		t.Errorf("counts %d and %d", r.Count(OK), r.NotOK())
	}
	p.visits = maxVisits
	end("u", OK, server{replica: "0"}, 0)
	if r := p.report(); !slices.Contains(r.LeftOut, "users") || r.Users["u"].Answers != maxSpans+10 {
		t.Errorf("left out are %v", r.LeftOut)
	}
}
