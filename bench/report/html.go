package report

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// WriteHTML writes the report as one HTML file with charts.
func (r *Report) WriteHTML(w io.Writer) error { return r.Page().WriteHTML(w) }

// Page lays the report out.
func (r *Report) Page() *Page {
	p := &Page{Title: "Load test: " + r.Load.Name}
	if r.CutShort {
		p.Notice = append(p.Notice, "The test was cut short: these are the figures of what ran until then.")
	}
	p.Notice = append(p.Notice, r.Warnings...)
	p.Sections = append(p.Sections, r.summarySection())
	if len(r.Sweeps) > 0 {
		p.Sections = append(p.Sections, r.sweepSection())
	}
	shown := r.shownRuns()
	distributions := distributionSection(shown)
	if len(shown) < len(r.Runs) {
		distributions.Text = append(distributions.Text, fmt.Sprintf("The charts from here on show the first round of %d targets and rates.", len(shown)))
	}
	p.Sections = append(p.Sections, distributions, timeSection(shown))
	if s := endpointSection(shown); len(s.Bars) > 0 {
		p.Sections = append(p.Sections, s)
	}
	p.Sections = append(p.Sections, r.parameterSection())
	return p
}

// shownRuns are the first rounds of targets at each rate, as many as a chart can show.
func (r *Report) shownRuns() []*Run {
	var list []*Run
	for i := range r.Runs {
		if run := &r.Runs[i]; run.Round == 1 && len(list) < maxSeries {
			list = append(list, run)
		}
	}
	return list
}

// label names a run in charts.
func (run *Run) label() string {
	if run.Rate > 0 {
		return fmt.Sprintf("%s at %g/s", run.Target, run.Rate)
	}
	return run.Target
}

func (r *Report) summarySection() Section {
	s := Section{Title: "Figures"}
	if r.Objectives.Any() {
		s.Text = append(s.Text, "Goodput counts the requests that met all objectives: "+r.Objectives.String()+".")
	}
	s.Text = append(s.Text, "Latencies count from the time at which a request was scheduled. Tokens are as the answers' usage says.")
	s.Tables = r.tables()
	s.Tables = append(s.Tables, r.errorTable())
	return s
}

// errorTable says what became of the requests of every run.
func (r *Report) errorTable() Table {
	t := Table{Title: "What became of the requests", Head: []string{"run", "due", "sent", "dropped", "complete", "failed", "given up", "errors", "sent late (p50, p99, max)"}}
	for i := range r.Runs {
		run := &r.Runs[i]
		x := run.Result
		t.Rows = append(t.Rows, []string{
			fmt.Sprintf("%s, round %d", run.label(), run.Round), fmt.Sprint(x.Arrivals), fmt.Sprint(x.Sent), fmt.Sprint(x.Dropped),
			fmt.Sprint(x.Completed), fmt.Sprint(x.Failed), fmt.Sprint(x.Cancelled), errorList(x.Errors),
			seconds(x.ScheduleDelay.P50) + ", " + seconds(x.ScheduleDelay.P99) + ", " + seconds(x.ScheduleDelay.Max),
		})
	}
	return t
}

func (r *Report) sweepSection() Section {
	s := Section{Title: "Load sweep"}
	for i := range r.Sweeps {
		s.Text = append(s.Text, r.Sweeps[i].sentence())
	}
	offered := Axis{Label: "offered requests a second", Unit: "/s"}
	chart := func(title, description, figure string, y Axis) Chart {
		c := Chart{Title: title, Description: description, X: offered, Y: y, Points: true}
		for i := range r.Sweeps {
			line := Series{Name: r.Sweeps[i].Target}
			for k := range r.Groups {
				g := &r.Groups[k]
				if f, ok := g.Find(figure); ok && g.Target == line.Name {
					line.Points = append(line.Points, Point{g.Rate, f.Median})
				}
			}
			c.Series = append(c.Series, line)
		}
		return c
	}
	s.Charts = []Chart{
		chart("Goodput by load", "Requests a second that met every objective, against the rate that was offered.", goodputName, Axis{Label: "goodput, requests a second", Unit: "/s"}),
		chart("Share of requests that met every objective", "The share falls where the target saturates.", goodputShareName, Axis{Label: "share of requests", Unit: "share"}),
		chart("Time to first token by load, p99", "The 99th percentile of the time to first token at each rate.", "TTFT p99", Axis{Label: "TTFT p99", Unit: "s", Log: true}),
	}
	return s
}

func distributionSection(runs []*Run) Section {
	s := Section{Title: "Distributions"}
	share := Axis{Label: "share of answers", Unit: "share"}
	add := func(title, description, label string, curve func(*Result) []Point, of func(*Result) Distribution) {
		c := Chart{Title: title, Description: description, X: Axis{Label: label, Unit: "s", Log: true}, Y: share}
		t := Table{Title: title, Head: []string{"run", "answers", "mean", "p50", "p90", "p99", "p99.9", "max"}}
		for _, run := range runs {
			d := of(run.Result)
			if d.Count == 0 {
				continue
			}
			c.Series = append(c.Series, Series{run.label(), curve(run.Result)})
			t.Rows = append(t.Rows, []string{run.label(), fmt.Sprint(d.Count), seconds(d.Mean), seconds(d.P50), seconds(d.P90), seconds(d.P99), seconds(d.P999), seconds(d.Max)})
		}
		if len(c.Series) > 0 {
			s.Charts = append(s.Charts, c)
			s.Tables = append(s.Tables, t)
		}
	}
	add("Time to first token", "The share of answers whose first token came within the time.", "time to first token",
		func(r *Result) []Point { return r.TTFTCurve }, func(r *Result) Distribution { return r.TTFT })
	add("Time per output token", "The share of answers whose tokens after the first came this fast on average.", "time per output token",
		func(r *Result) []Point { return r.TPOTCurve }, func(r *Result) Distribution { return r.TPOT })
	if len(runs) > 0 && len(s.Charts) == 0 {
		s.Text = append(s.Text, "No answer was streamed.")
	}
	return s
}

// timeSection shows runs over time. Latencies have two lines a run, so it shows half as many.
func timeSection(runs []*Run) Section {
	s := Section{Title: "Over time"}
	if len(runs) > maxSeries/2 {
		runs = runs[:maxSeries/2]
		s.Text = append(s.Text, fmt.Sprintf("The first %d runs are shown.", len(runs)))
	}
	x := Axis{Label: "time since the warmup", Unit: "s"}
	latency := Chart{Title: "Latency over time", Description: "Percentiles of the requests that were due in each interval: of the time to first token, or to the end of answers that were not streamed.",
		X: x, Y: Axis{Label: "latency", Unit: "s", Log: true}}
	rates := Chart{Title: "Throughput over time", Description: "Complete answers a second.", X: x, Y: Axis{Label: "answers a second", Unit: "/s"}}
	tokens := Chart{Title: "Output tokens over time", Description: "Output tokens a second, counted when their answer ended.", X: x, Y: Axis{Label: "tokens a second", Unit: "/s"}}
	flight := Chart{Title: "Requests in flight over time", Description: "How many requests were in flight on average.", X: x, Y: Axis{Label: "requests in flight"}}
	for _, run := range runs {
		of := func(i *Interval) Distribution { return i.E2E }
		if run.Result.TTFT.Count > 0 {
			of = func(i *Interval) Distribution { return i.TTFT }
		}
		var p50, p99, rate, token, inFlight []Point
		for i := range run.Result.Intervals {
			part := &run.Result.Intervals[i]
			if d := of(part); d.Count > 0 {
				p50, p99 = append(p50, Point{part.Start, d.P50}), append(p99, Point{part.Start, d.P99})
			}
			rate = append(rate, Point{part.Start, part.CompletedRate})
			token = append(token, Point{part.Start, part.OutputTokenRate})
			inFlight = append(inFlight, Point{part.Start, part.InFlight})
		}
		name := run.label()
		latency.Series = append(latency.Series, Series{name + ", p50", p50}, Series{name + ", p99", p99})
		rates.Series = append(rates.Series, Series{name, rate})
		tokens.Series = append(tokens.Series, Series{name, token})
		flight.Series = append(flight.Series, Series{name, inFlight})
	}
	s.Charts = []Chart{latency, rates, tokens, flight}
	return s
}

// mostBars is how many endpoints a chart shows.
const mostBars = 64

func endpointSection(runs []*Run) Section {
	s := Section{Title: "Endpoints"}
	for _, run := range runs {
		x := run.Result
		if len(x.Endpoints) == 0 {
			continue
		}
		b := Bars{Title: "Requests by endpoint: " + run.label(), Unit: "share",
			Description: fmt.Sprintf("Each endpoint's share of the answers. The busiest of %d had %s times the mean of requests, and %s times that of output tokens.",
				len(x.Endpoints), digits(x.RequestImbalance), digits(x.TokenImbalance))}
		t := Table{Title: "Endpoints: " + run.label(), Head: []string{"endpoint", "requests", "share", "output tokens", "share"}}
		requests, tokens := 0, int64(0)
		for _, e := range x.Endpoints {
			requests += e.Requests
			tokens += e.OutputTokens
		}
		for i, e := range x.Endpoints {
			share := per(e.Requests, float64(requests))
			if i < mostBars {
				b.Items = append(b.Items, Bar{e.Name, share})
			}
			t.Rows = append(t.Rows, []string{e.Name, fmt.Sprint(e.Requests), percent(share), fmt.Sprint(e.OutputTokens), percent(per(e.OutputTokens, float64(tokens)))})
		}
		s.Bars = append(s.Bars, b)
		s.Tables = append(s.Tables, t)
	}
	return s
}

func (r *Report) parameterSection() Section {
	t := Table{Title: "Parameters", Head: []string{"parameter", "value"}}
	add := func(name, value string) { t.Rows = append(t.Rows, []string{name, value}) }
	add("command", strings.Join(r.Command, " "))
	add("version", r.Version)
	add("started", r.Started.UTC().Format(time.RFC3339))
	add("machine", r.Machine)
	add("load", r.Load.Name)
	add("requests", fmt.Sprintf("%d over %s", r.Load.Requests, seconds(r.Load.Seconds)))
	add("prompt tokens, mean", digits(r.Load.MeanPromptTokens))
	add("output tokens, mean", digits(r.Load.MeanOutputTokens))
	for _, p := range r.Parameters {
		add(p.Name, p.Value)
	}
	for _, run := range r.Runs {
		add("run", fmt.Sprintf("%s, round %d, seed %d: %s", run.label(), run.Round, run.Seed, run.URL))
	}
	return Section{Title: "How it was measured", Tables: []Table{t}}
}
