package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

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

var sections = [...]string{"endpoints", "requests", "routes", "events", "pools"}

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

// style paints text: how is one of the names below.
type style func(text, how string) string

func plain(text, _ string) string { return text }

// painted is the style of terminals that have colours. They are the terminal's own, and everything that they say is also in words.
func painted(text, how string) string {
	code := map[string]string{"title": "1", "faint": "2", "good": "32", "warn": "33", "bad": "1;31", "marked": "7"}[how]
	if code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
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

func (v *topView) has(texts ...string) bool {
	return v.filter == "" || strings.Contains(strings.ToLower(strings.Join(texts, " ")), strings.ToLower(v.filter))
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

// table is rows of cells, the titles first. The column of a title that begins with > is flush right.
type table [][]string

// format returns a line for each row; how says how the cell of a row, from 0 without the titles, is painted.
func (t table) format(paint style, how func(row, column int) string) []string {
	right := make([]bool, len(t[0]))
	for i := range t[0] {
		t[0][i], right[i] = strings.CutPrefix(t[0][i], ">")
	}
	widths := make([]int, len(t[0]))
	for _, row := range t {
		for i, cell := range row {
			if len(row) > 1 {
				widths[i] = max(widths[i], utf8.RuneCountInString(cell))
			}
		}
	}
	all := make([]string, len(t))
	for r, row := range t {
		var b strings.Builder
		for i, cell := range row {
			text := printable(cell)
			fill := strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(text)))
			name := "faint"
			if r > 0 {
				name = how(r-1, i)
			}
			switch {
			case right[i]:
				b.WriteString(fill + paint(text, name))
			case i == len(row)-1:
				b.WriteString(paint(text, name))
			default:
				b.WriteString(paint(text, name) + fill)
			}
			if i < len(row)-1 {
				b.WriteString("  ")
			}
		}
		all[r] = strings.TrimRight(b.String(), " ")
	}
	return all
}

// cut shortens a line to a number of columns, codes for colours not counted; each character is taken to have one column.
func cut(line string, width int) string {
	column, code, coloured := 0, false, false
	for i, r := range line {
		switch {
		case r == '\x1b':
			code, coloured = true, true
		case code:
			code = r != 'm'
		case column == width && coloured:
			return line[:i] + "\x1b[0m"
		case column == width:
			return line[:i]
		default:
			column++
		}
	}
	return line
}

// printable replaces what a terminal could take for a command, and what has no width or turns the direction of writing: clients choose their requests'
// ids and models, and endpoints the words of some failures.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '.'
		}
		return r
	}, text)
}

func number(v *float64) string {
	switch {
	case v == nil:
		return "-"
	case *v == 0:
		return "0"
	case *v >= 100:
		return whole(v)
	}
	return fmt.Sprintf("%.1f", *v)
}

func latency(l *live.Latency) string {
	if l == nil {
		return "-"
	}
	return fmt.Sprintf("%s/%s/%s ms", milli(l.P50), milli(l.P95), milli(l.P99))
}

func milli(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

func whole(v *float64) string {
	if v == nil {
		return "-"
	}
	if *v >= 1e12 {
		return fmt.Sprintf("%.1e", *v) // endpoints may say any number
	}
	return fmt.Sprintf("%.0f", *v)
}

func shareText(v *float64) string {
	if v == nil {
		return "-"
	}
	if *v > 10 {
		return ">1000%"
	}
	return fmt.Sprintf("%.1f%%", *v*100)
}

func age(v *float64) string {
	if v == nil {
		return "-"
	}
	return fmt.Sprintf("%.1fs", *v)
}
