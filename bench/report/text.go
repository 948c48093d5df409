package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// seconds writes a time with three digits in the unit that suits it.
func seconds(s float64) string {
	a := math.Abs(s)
	switch {
	case a == 0:
		return "0"
	case a < 0.9995e-3:
		return digits(s*1e6) + " µs"
	case a < 0.9995:
		return digits(s*1e3) + " ms"
	case a < 999.5:
		return digits(s) + " s"
	}
	return time.Duration(s * float64(time.Second)).Round(time.Second).String()
}

// digits writes a number with three digits, or all of those before the point.
func digits(x float64) string {
	switch a := math.Abs(x); {
	case a >= 99.95 || a == 0:
		return strconv.FormatFloat(x, 'f', 0, 64)
	case a >= 9.995:
		return strconv.FormatFloat(x, 'f', 1, 64)
	case a >= 0.01:
		return strconv.FormatFloat(x, 'f', 2, 64)
	}
	return strconv.FormatFloat(x, 'g', 2, 64)
}

func percent(share float64) string { return digits(share*100) + " %" }

// FormatValue writes a value of a Figure's unit.
func FormatValue(x float64, unit string) string {
	switch unit {
	case "s":
		return seconds(x)
	case "share":
		return percent(x)
	case "/s":
		return digits(x) + " /s"
	}
	return digits(x)
}

func formatSpread(s Spread, unit string, rounds int) string {
	if rounds < 2 {
		return FormatValue(s.Median, unit)
	}
	return fmt.Sprintf("%s (%s–%s)", FormatValue(s.Median, unit), FormatValue(s.Lowest, unit), FormatValue(s.Highest, unit))
}

// WriteText writes the report for a terminal.
func (r *Report) WriteText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %d requests over %s, prompts of %s and answers of %s tokens on average\n",
		r.Load.Name, r.Load.Requests, seconds(r.Load.Seconds), digits(r.Load.MeanPromptTokens), digits(r.Load.MeanOutputTokens))
	if r.CutShort {
		b.WriteString("CUT SHORT: these are the figures of what ran until then.\n")
	}
	if len(r.Runs) == 1 {
		b.WriteString("\n")
		writeRun(&b, &r.Runs[0], r.Objectives)
	} else {
		if r.Objectives.Any() {
			fmt.Fprintf(&b, "objectives: %s\n", r.Objectives)
		}
		for _, t := range r.tables() {
			fmt.Fprintf(&b, "\n%s\n", t.Title)
			writeTable(&b, t)
		}
		for i := range r.Runs {
			if run := &r.Runs[i]; len(run.Result.Errors) > 0 {
				fmt.Fprintf(&b, "\n%s, round %d: errors: %s", run.label(), run.Round, errorList(run.Result.Errors))
			}
		}
		b.WriteString("\n")
	}
	for _, s := range r.Sweeps {
		fmt.Fprintf(&b, "%s\n", s.sentence())
	}
	for _, warning := range r.Warnings {
		fmt.Fprintf(&b, "WARNING: %s\n", warning)
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s *Sweep) sentence() string {
	var b strings.Builder
	b.WriteString(s.Target)
	switch {
	case s.SaturatesAt == 0:
		fmt.Fprintf(&b, " holds up to %g/s, the highest rate that was tried", s.HoldsUpTo)
	case s.HoldsUpTo == 0:
		fmt.Fprintf(&b, " does not hold %g/s, the lowest rate that was tried", s.SaturatesAt)
	default:
		fmt.Fprintf(&b, " holds up to %g/s and saturates at %g/s", s.HoldsUpTo, s.SaturatesAt)
	}
	fmt.Fprintf(&b, "; its goodput is highest at %g/s, with %s requests a second.", s.BestRate, digits(s.BestGoodput))
	return b.String()
}

func writeTable(w io.Writer, t Table) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(tw, "  %s\t\n", strings.Join(t.Head, "\t"))
	for _, row := range t.Rows {
		fmt.Fprintf(tw, "  %s\t\n", strings.Join(row, "\t"))
	}
	tw.Flush()
}

// writeRun writes all of one run.
func writeRun(w io.Writer, run *Run, o Objectives) {
	x := run.Result
	fmt.Fprintf(w, "%s (%s), %s measured\n", run.Target, run.URL, seconds(x.ScheduleSeconds))
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(tw, "  %s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("requests", "%d due, %d sent, %d dropped; %d complete, %d failed, %d given up", x.Arrivals, x.Sent, x.Dropped, x.Completed, x.Failed, x.Cancelled)
	if len(x.Errors) > 0 {
		row("errors", "%s", errorList(x.Errors))
	}
	row("rate", "%s offered, %s achieved, %s completed", FormatValue(x.OfferedRate, "/s"), FormatValue(x.AchievedRate, "/s"), FormatValue(x.CompletedRate, "/s"))
	row("schedule delay", "p50 %s, p99 %s, max %s", seconds(x.ScheduleDelay.P50), seconds(x.ScheduleDelay.P99), seconds(x.ScheduleDelay.Max))
	for _, d := range []struct {
		name string
		Distribution
	}{{"TTFT", x.TTFT}, {"TPOT", x.TPOT}, {"E2E", x.E2E}} {
		if d.Count > 0 {
			row(d.name, "mean %s, p50 %s, p90 %s, p99 %s, p99.9 %s, max %s", seconds(d.Mean), seconds(d.P50), seconds(d.P90), seconds(d.P99), seconds(d.P999), seconds(d.Max))
		}
	}
	if x.GapMax > 0 {
		row("gaps", "p99 %s, max %s", seconds(x.GapP99), seconds(x.GapMax))
	}
	row("tokens", "%s prompt /s, %s output /s, %s of prompt tokens cached", digits(x.PromptTokenRate), digits(x.OutputTokenRate), percent(x.CachedShare))
	if o.Any() {
		row("goodput", "%s, %s of the requests (%s)", FormatValue(x.Goodput, "/s"), percent(x.GoodputShare), o)
	}
	if n := len(x.Endpoints); n > 0 {
		row("endpoints", "%d answered; the busiest had %s times the mean of requests, %s of output tokens", n, digits(x.RequestImbalance), digits(x.TokenImbalance))
	}
	if c := x.CPU; c != nil {
		row("CPU", "%s of %s, %s a request, %s a piece of text", seconds(c.Seconds), c.Of, seconds(c.PerRequest), seconds(c.PerPiece))
	}
	tw.Flush()
}

// String lists the objectives; it is empty without any.
func (o Objectives) String() string {
	var list []string
	for _, x := range []struct {
		name  string
		limit float64
	}{{"TTFT", o.TTFT}, {"TPOT", o.TPOT}, {"E2E", o.E2E}} {
		if x.limit > 0 {
			list = append(list, x.name+" up to "+seconds(x.limit))
		}
	}
	return strings.Join(list, ", ")
}

func errorList(errors map[string]int) string {
	var list []string
	for name, n := range errors {
		list = append(list, fmt.Sprintf("%d %s", n, name))
	}
	slices.Sort(list)
	return strings.Join(list, ", ")
}

// tables compares the groups: one table for each rate, with a column for each target.
func (r *Report) tables() []Table {
	var rates []float64
	for _, g := range r.Groups {
		if !slices.Contains(rates, g.Rate) {
			rates = append(rates, g.Rate)
		}
	}
	var tables []Table
	for _, rate := range rates {
		tables = append(tables, r.table(rate))
	}
	return tables
}

func (r *Report) table(rate float64) Table {
	t := Table{Title: "The trace's own rate", Head: []string{"figure"}}
	if rate > 0 {
		t.Title = fmt.Sprintf("%g requests a second", rate)
	}
	rounds := 1
	var groups []*Group
	for i := range r.Groups {
		if g := &r.Groups[i]; g.Rate == rate {
			groups = append(groups, g)
			rounds = max(rounds, g.Rounds)
		}
	}
	if rounds > 1 {
		t.Title += fmt.Sprintf(": medians of %d rounds, with the lowest and the highest", rounds)
	}
	type column struct {
		head string
		cell func(*Group, Figure) string
	}
	var columns []column
	var of []*Group
	for _, g := range groups {
		columns = append(columns, column{g.Target, func(g *Group, f Figure) string { return formatSpread(f.Spread, f.Unit, g.Rounds) }})
		of = append(of, g)
		if slices.ContainsFunc(g.Figures, func(f Figure) bool { return f.Ratio != nil }) {
			columns = append(columns, column{"/ " + r.firstTarget(), func(g *Group, f Figure) string { return optional(f.Ratio, "", g.Rounds) }})
			of = append(of, g)
		}
		if slices.ContainsFunc(g.Figures, func(f Figure) bool { return f.Added != nil }) {
			columns = append(columns, column{"− " + Direct, func(g *Group, f Figure) string { return optional(f.Added, "s", g.Rounds) }})
			of = append(of, g)
		}
	}
	for _, c := range columns {
		t.Head = append(t.Head, c.head)
	}
	for _, f := range figures {
		row := []string{f.name}
		found := false
		for i, c := range columns {
			cell := ""
			if x, ok := of[i].Find(f.name); ok {
				cell, found = c.cell(of[i], x), true
			}
			row = append(row, cell)
		}
		if found {
			t.Rows = append(t.Rows, row)
		}
	}
	return t
}

func optional(s *Spread, unit string, rounds int) string {
	if s == nil {
		return ""
	}
	return formatSpread(*s, unit, rounds)
}
