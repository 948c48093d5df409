package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/penstock/penstock/bench/report"
	"github.com/penstock/penstock/bench/simulate"
)

// mostCurves is how many lines a chart shows.
const mostCurves = 12

// writeHTML writes the results as one page.
func (r *simulation) writeHTML(w io.Writer) error { return r.page().WriteHTML(w) }

func (r *simulation) page() *report.Page {
	p := &report.Page{Title: "Simulation: " + r.Load.Name}
	if r.Plan != nil {
		p.Title = "Plan: " + r.Load.Name
		p.Sections = r.planSections()
	} else {
		p.Sections = []report.Section{r.policySection(), r.latencySection()}
	}
	p.Sections = append(p.Sections, r.optionSection())
	return p
}

func (r *simulation) policySection() report.Section {
	s := report.Section{Title: "Goodput", Text: append(r.heading(), r.verdict()...)}
	bars := report.Bars{Title: "Goodput by policy", Unit: "share", Description: "The share of requests that met all objectives: means over " + count(r.Options.Seeds, "seed") + "."}
	for _, x := range r.ranked() {
		name := x.Policy
		if r.Options.Seeds > 1 {
			name += fmt.Sprintf(" ±%.2f", x.Goodput.Half*100)
		}
		bars.Items = append(bars.Items, report.Bar{Name: name, Value: x.Goodput.Mean})
	}
	if r.Options.Seeds > 1 {
		bars.Description += " Beside each name is half the width of its 95 % confidence interval, in points."
	}
	s.Bars, s.Tables = []report.Bars{bars}, []report.Table{r.table()}
	if len(r.Policies) == 1 {
		s.Tables = append(s.Tables, r.details())
	}
	return s
}

func (r *simulation) latencySection() report.Section {
	s := report.Section{Title: "Latency"}
	ranked := r.ranked()
	if len(ranked) > mostCurves {
		ranked = ranked[:mostCurves]
		s.Text = append(s.Text, fmt.Sprintf("The charts show the %d policies with the highest goodput.", mostCurves))
	}
	add := func(title, description, label string, by float64, of func(*simulate.Result) simulate.Distribution) {
		c := report.Chart{Title: title, Description: description + " Points are the median, p90, p99 and the maximum of the first seed.", Points: true,
			X: report.Axis{Label: label, Unit: "s", Log: true}, Y: report.Axis{Label: "share of answers", Unit: "share"}}
		for _, x := range ranked {
			d := of(x.Runs[0])
			c.Series = append(c.Series, report.Series{Name: x.Policy, Points: []report.Point{{X: d.P50 / by, Y: .5}, {X: d.P90 / by, Y: .9}, {X: d.P99 / by, Y: .99}, {X: d.Max / by, Y: 1}}})
		}
		s.Charts = append(s.Charts, c)
	}
	add("Time to first token", "The share of answers whose first token came within the time.", "time to first token", 1, func(x *simulate.Result) simulate.Distribution { return x.TTFT })
	add("Time per output token", "The share of answers whose tokens after the first came this fast on average.", "time per output token", 1e3, func(x *simulate.Result) simulate.Distribution { return x.TPOT })
	return s
}

func (r *simulation) planSections() []report.Section {
	share := report.Axis{Label: "share of requests that met the objectives", Unit: "share"}
	line := func(title, description, label string, trials []simulate.Trial, x func(simulate.Trial) float64, log bool) report.Chart {
		c := report.Chart{Title: title, Description: description, Points: true, X: report.Axis{Label: label, Log: log}, Y: share}
		reached, wanted := report.Series{Name: "reached" + r.ofSeeds()}, report.Series{Name: "asked for"}
		for _, t := range trials {
			reached.Points = append(reached.Points, report.Point{X: x(t), Y: t.Result.Goodput})
			wanted.Points = append(wanted.Points, report.Point{X: x(t), Y: r.Options.Plan.Share})
		}
		c.Series = []report.Series{reached, wanted}
		return c
	}
	tables := r.trialTables()
	fixed := report.Section{Title: "Replicas", Text: append(r.heading(), r.answer()...), Tables: tables[:1], Charts: []report.Chart{
		line("Goodput by replicas", "How each number of replicas that was tried does.", "replicas", r.fixedTrials(), func(t simulate.Trial) float64 { return float64(t.Replicas) }, false)}}
	if r.Plan.Scaled == nil {
		return []report.Section{fixed}
	}
	scaled := report.Section{Title: "Autoscaler", Tables: tables[1:], Charts: []report.Chart{
		line("Goodput by the autoscaler's target", "How each target that was tried does.", fmt.Sprintf("outstanding %s for each replica", r.Plan.Scaled.Metric), r.scaledTrials(), func(t simulate.Trial) float64 { return t.Target }, true)}}
	if m := r.scalerManifest(); m != "" {
		t := report.Table{Title: "HorizontalPodAutoscaler", Head: []string{"manifest"}}
		for _, line := range strings.Split(strings.TrimSpace(m), "\n") {
			t.Rows = append(t.Rows, []string{strings.ReplaceAll(line, "  ", "\u00a0\u00a0")})
		}
		scaled.Tables = append(scaled.Tables, t)
	}
	return []report.Section{fixed, scaled}
}

// optionSection lists the options as the JSON has them.
func (r *simulation) optionSection() report.Section {
	t := report.Table{Title: "Options", Head: []string{"option", "value"}}
	t.Rows = append(t.Rows, []string{"version", r.Version})
	encoded, err := json.Marshal(r.Options)
	if err != nil {
		panic("BUG: options cannot be written: " + err.Error())
	}
	// The encoding has the fields in their order, which a map would lose.
	d := json.NewDecoder(strings.NewReader(string(encoded)))
	d.Token()
	for d.More() {
		name, _ := d.Token()
		var value json.RawMessage
		if d.Decode(&value) != nil {
			break
		}
		t.Rows = append(t.Rows, []string{fmt.Sprint(name), strings.Trim(string(value), `"`)})
	}
	return report.Section{Title: "How it was simulated", Tables: []report.Table{t}}
}
