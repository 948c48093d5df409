package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"

	"github.com/penstock/penstock/gateway/live"
)

// topView is what is known of a gateway, and how it is looked at.
type topView struct {
	snapshot *live.Snapshot
	events   []live.Event // the newest last
	trouble  string       // why it is not live

	section  int // of sections
	sort     int // of sorts
	reversed bool
	filter   string
	typing   bool
	first    int // of the rows
}

const topEvents = 200

func (v *topView) take(m message) {
	v.trouble = ""
	if m.snapshot != nil {
		v.snapshot = m.snapshot
	}
	if n := len(v.events); len(m.events) > 0 && n > 0 && m.events[0].Number <= v.events[n-1].Number {
		v.events = nil // a new stream, which begins with all of them
	}
	v.events = append(v.events, m.events...)
	v.events = v.events[max(0, len(v.events)-topEvents):]
}

// lines are what is shown: on a screen of that size, or all of it if height is 0.
func (v *topView) lines(width, height int, paint style) []string {
	if v.snapshot == nil {
		return []string{cmp.Or(v.trouble, "waiting for the gateway")}
	}
	head := append(v.head(paint), "")
	if height == 0 {
		head = append(head, v.pools(paint)...)
		for i, section := range sections[:len(sections)-1] {
			head = append(head, "", paint(strings.ToUpper(section), "title"))
			head = append(head, v.table(i, paint)...)
		}
		return head
	}
	head = append(head, v.firstPools(height/3, paint)...)
	head = append(head, "", v.tabs(paint))
	table := v.table(v.section, paint)
	head = append(head, table[0])
	rows, room := table[1:], max(1, height-len(head)-1)
	v.first = max(0, min(v.first, len(rows)-room))
	shown := rows[v.first:min(len(rows), v.first+room)]
	all := append(head, shown...)
	for len(all) < height-1 {
		all = append(all, "")
	}
	all = append(all[:height-1], v.foot(len(rows), len(shown), paint))
	for i := range all {
		all[i] = cut(all[i], width)
	}
	return all
}

func (v *topView) head(paint style) []string {
	s := v.snapshot
	how := map[string]string{"serving": "good"}[s.State]
	first := fmt.Sprintf("%s %s, version %s, up %s, configuration %d, %d client connections",
		paint("penstock", "title"), paint(printable(s.State), cmp.Or(how, "warn")), printable(s.Version), s.Time.Sub(s.Started).Round(time.Second), s.Generation, s.Connections)
	if v.trouble != "" {
		first += "  " + paint("NOT LIVE: "+v.trouble, "bad")
	}
	t := &s.Total
	return []string{first,
		fmt.Sprintf("%s requests/s, %s errors/s, %s output tokens/s, %d in flight, %d queued", number(t.Requests), number(t.Errors), number(t.OutputTokens), t.InFlight, t.Queued),
		fmt.Sprintf("TTFT %s, TPOT %s (p50/p95/p99 of %.0fs)", latency(t.TTFT), latency(t.TPOT), s.Window)}
}

// firstPools are the lines of pools, or the first of them if there are more than that many lines: all are a section, too.
func (v *topView) firstPools(most int, paint style) []string {
	all := v.allPools(paint)
	if most = max(most, 3); len(all) <= most {
		return all
	}
	return append(all[:most-1:most-1], fmt.Sprintf("and %d more pools: %d shows them", len(all)-most+1, len(sections)))
}

// allPools is the table of all pools, whatever the filter.
func (v *topView) allPools(paint style) []string {
	bare := topView{snapshot: v.snapshot}
	return bare.pools(paint)
}

// tabs names the sections, the shown one in brackets.
func (v *topView) tabs(paint style) string {
	var b strings.Builder
	for i, name := range sections {
		if i == v.section {
			b.WriteString(paint("["+name+"]", "marked") + "  ")
		} else {
			b.WriteString(name + "  ")
		}
	}
	return strings.TrimRight(b.String(), " ")
}

func (v *topView) foot(rows, shown int, paint style) string {
	if v.typing {
		return "filter: " + v.filter + "_  (Enter keeps it, Esc drops it)"
	}
	where := fmt.Sprintf("%d to %d of %d", min(v.first+1, rows), v.first+shown, rows)
	if v.filter != "" {
		where += " with " + fmt.Sprintf("%q", v.filter)
	}
	keys := "q quit  Tab section  s sort  r reverse  / filter  arrows scroll"
	if v.section == 0 {
		where += ", by " + sorts[v.sort].name
	}
	return paint(where+"   "+keys, "faint")
}
