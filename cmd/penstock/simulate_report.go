package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/penstock/penstock/bench/report"
	"github.com/penstock/penstock/bench/simulate"
)

// simulationFormat is the version of the JSON. Fields may be added under it; none changes.
const simulationFormat = 1

// simulation is what penstock simulate found. It has nothing that differs between two calls with the same flags. Shares are 0 to 1, times
// in seconds; those of Policies and Plan are as bench/simulate has them.
type simulation struct {
	Format   int                `json:"format"`
	Version  string             `json:"version"`
	Load     simulatedLoad      `json:"load"`
	Options  simulatedOptions   `json:"options"`
	Policies []simulate.Summary `json:"policies,omitempty"`
	// Best has the highest goodput; Ties are those whose intervals overlap its own.
	Best string         `json:"best,omitempty"`
	Ties []string       `json:"ties,omitempty"`
	Plan *simulate.Plan `json:"plan,omitempty"`
}

// simulatedLoad describes the load of the first seed.
type simulatedLoad struct {
	Name             string  `json:"name"`
	Requests         int     `json:"requests"`
	Seconds          float64 `json:"seconds"`
	Rate             float64 `json:"rate"`
	MeanPromptTokens float64 `json:"meanPromptTokens"`
	MeanOutputTokens float64 `json:"meanOutputTokens"`
	// IdealHits is the share of prompt tokens that one unlimited cache for all would have.
	IdealHits float64 `json:"idealCacheHits"`
}

type simulatedOptions struct {
	Fleet         string            `json:"fleet"`
	Groups        []simulatedGroup  `json:"groups"`
	Policies      []string          `json:"policies"`
	Gateways      int               `json:"gateways"`
	Seed          uint64            `json:"seed"`
	Seeds         int               `json:"seeds"`
	PollInterval  float64           `json:"pollIntervalSeconds"`
	PollLoss      float64           `json:"pollLoss"`
	Network       float64           `json:"networkSeconds"`
	MaxInFlight   int               `json:"maxInFlight"`
	QueueSize     int               `json:"queueSize"`
	QueueTimeout  float64           `json:"queueTimeoutSeconds"`
	SlowStart     float64           `json:"slowStartSeconds"`
	EstimateError float64           `json:"estimateError"`
	Objectives    report.Objectives `json:"objectives"`
	Changes       []string          `json:"changes,omitempty"`
	Detection     float64           `json:"detectionSeconds"`
	StartTime     float64           `json:"startTimeSeconds"`
	Autoscale     *simulatedScaler  `json:"autoscale,omitempty"`
	Plan          *simulatedPlan    `json:"plan,omitempty"`
}

// simulatedGroup is equal replicas; of a plan, whose number is what is asked for, Replicas is 0.
type simulatedGroup struct {
	Replicas      int    `json:"replicas"`
	Profile       string `json:"profile"`
	KVTokens      int    `json:"kvTokens"`
	BatchedTokens int    `json:"maxNumBatchedTokens"`
	Sequences     int    `json:"maxNumSeqs"`
}

type simulatedScaler struct {
	Metric        simulate.ScaleMetric `json:"metric"`
	Target        float64              `json:"target"`
	Min           int                  `json:"minReplicas"`
	Max           int                  `json:"maxReplicas"`
	Stabilization float64              `json:"stabilizationSeconds"`
}

type simulatedPlan struct {
	Share         float64 `json:"share"`
	ScaleBy       string  `json:"scaleBy"`
	Min           int     `json:"minReplicas"`
	Max           int     `json:"maxReplicas"`
	Stabilization float64 `json:"stabilizationSeconds"`
}

func (r *simulation) writeJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// judge names the best policy, and those that are not told apart from it. What one seed has says nothing of the spread.
func (r *simulation) judge() {
	if len(r.Policies) < 2 {
		return
	}
	ranked := r.ranked()
	r.Best = ranked[0].Policy
	for _, s := range ranked[1:] {
		if s.Goodput.Overlaps(ranked[0].Goodput) {
			r.Ties = append(r.Ties, s.Policy)
		}
	}
}

// ranked is the policies, that with the highest goodput first.
func (r *simulation) ranked() []simulate.Summary {
	list := slices.Clone(r.Policies)
	slices.SortStableFunc(list, func(a, b simulate.Summary) int { return cmp.Compare(b.Goodput.Mean, a.Goodput.Mean) })
	return list
}

// verdict says in sentences which policies win and which lose.
func (r *simulation) verdict() []string {
	if r.Best == "" {
		return nil
	}
	ranked := r.ranked()
	best := ranked[0]
	list := []string{fmt.Sprintf("The highest goodput has %s, with %s.", best.Policy, r.format(best.Goodput, "share"))}
	same := "Not told apart from it, as their intervals overlap: "
	if r.Options.Seeds == 1 {
		same = "As high has: "
	}
	if len(r.Ties) > 0 {
		list = append(list, same+r.behind(&best, func(s simulate.Summary) bool { return slices.Contains(r.Ties, s.Policy) })+".")
	}
	worse := func(s simulate.Summary) bool { return s.Policy != r.Best && !slices.Contains(r.Ties, s.Policy) }
	if slices.ContainsFunc(ranked, worse) {
		list = append(list, "Worse than it: "+r.behind(&best, worse)+".")
	} else if best.Goodput.Mean > .999 {
		list = append(list, "None loses, as the load does not fill the fleet. A higher --rate or fewer replicas would tell them apart.")
	}
	if r.Options.Seeds == 1 {
		list = append(list, "One seed says nothing of how much chance there is in this: --seeds 5 would.")
	}
	return list
}

// behind lists policies with how many points of goodput they are behind the best: seed by seed, as all had the same loads.
func (r *simulation) behind(best *simulate.Summary, which func(simulate.Summary) bool) string {
	var list []string
	for _, s := range r.ranked() {
		if s.Policy == best.Policy || !which(s) {
			continue
		}
		points := make([]float64, len(s.Runs))
		for i := range s.Runs {
			points[i] = best.Runs[i].Goodput - s.Runs[i].Goodput
		}
		list = append(list, fmt.Sprintf("%s (by %s)", s.Policy, r.format(simulate.EstimateOf(points), "points")))
	}
	return strings.Join(list, ", ")
}

func capital(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

// format writes an estimate, with its interval where there are several seeds. Units are report's, and points: percentage points.
func (r *simulation) format(e simulate.Estimate, unit string) string {
	single := r.Options.Seeds == 1
	switch unit {
	case "share", "points":
		suffix := "%"
		if unit == "points" {
			suffix = "points"
		}
		if single {
			return fmt.Sprintf("%.2f %s", e.Mean*100, suffix)
		}
		return fmt.Sprintf("%.2f ±%.2f %s", e.Mean*100, e.Half*100, suffix)
	}
	if e == (simulate.Estimate{}) {
		return "0"
	}
	if unit == "" && !single {
		return fmt.Sprintf("%.2f ±%.2f", e.Mean, e.Half)
	}
	text := report.FormatValue(e.Mean, unit)
	if single {
		return text
	}
	return text + " ±" + report.FormatValue(e.Half, unit)
}

// simulationFigure is a column of the table of policies.
type simulationFigure struct {
	name, unit string
	of         func(*simulate.Summary) simulate.Estimate
}

// inSeconds makes seconds out of milliseconds.
func inSeconds(ms simulate.Estimate) simulate.Estimate {
	return simulate.Estimate{Mean: ms.Mean / 1e3, Half: ms.Half / 1e3}
}

var simulationFigures = []simulationFigure{
	{"goodput", "share", func(s *simulate.Summary) simulate.Estimate { return s.Goodput }},
	{"good /s", "", func(s *simulate.Summary) simulate.Estimate { return s.GoodRate }},
	{"TTFT p50", "s", func(s *simulate.Summary) simulate.Estimate { return s.TTFTp50 }},
	{"TTFT p99", "s", func(s *simulate.Summary) simulate.Estimate { return s.TTFTp99 }},
	{"TPOT p50", "s", func(s *simulate.Summary) simulate.Estimate { return inSeconds(s.TPOTp50) }},
	{"TPOT p99", "s", func(s *simulate.Summary) simulate.Estimate { return inSeconds(s.TPOTp99) }},
	{"cache hits", "share", func(s *simulate.Summary) simulate.Estimate { return s.CacheHits }},
	{"imbalance", "", func(s *simulate.Summary) simulate.Estimate { return s.Imbalance }},
	{"refused", "", func(s *simulate.Summary) simulate.Estimate { return s.Refused }},
	{"failed", "", func(s *simulate.Summary) simulate.Estimate { return s.Failed }},
}

// table has a row for each policy, the best first.
func (r *simulation) table() report.Table {
	t := report.Table{Title: "Policies over " + count(r.Options.Seeds, "seed"), Head: []string{"policy", "mark"}}
	if r.Options.Seeds > 1 {
		t.Title += ", with 95 % confidence intervals"
	}
	for _, f := range simulationFigures {
		t.Head = append(t.Head, f.name)
	}
	if r.Best == "" {
		t.Head = slices.Delete(t.Head, 1, 2)
	}
	for _, s := range r.ranked() {
		row := []string{s.Policy}
		switch {
		case r.Best == "":
		case s.Policy == r.Best:
			row = append(row, "best")
		case slices.Contains(r.Ties, s.Policy):
			row = append(row, "≈")
		default:
			row = append(row, "")
		}
		for _, f := range simulationFigures {
			row = append(row, r.format(f.of(&s), f.unit))
		}
		t.Rows = append(t.Rows, row)
	}
	return t
}

// details has more figures of a single policy.
func (r *simulation) details() report.Table {
	s := &r.Policies[0]
	t := report.Table{Title: "More of " + s.Policy, Head: []string{"figure", "value"}}
	row := func(name, unit string, value func(*simulate.Result) float64) {
		values := make([]float64, len(s.Runs))
		for i, run := range s.Runs {
			values[i] = value(run)
		}
		t.Rows = append(t.Rows, []string{name, r.format(simulate.EstimateOf(values), unit)})
	}
	row("met the TTFT objective", "share", func(x *simulate.Result) float64 { return x.MetTTFT })
	row("met the TPOT objective", "share", func(x *simulate.Result) float64 { return x.MetTPOT })
	distribution := func(name string, by float64, of func(*simulate.Result) simulate.Distribution) {
		row(name+" mean", "s", func(x *simulate.Result) float64 { return of(x).Mean / by })
		row(name+" p90", "s", func(x *simulate.Result) float64 { return of(x).P90 / by })
		row(name+" max", "s", func(x *simulate.Result) float64 { return of(x).Max / by })
	}
	distribution("TTFT", 1, func(x *simulate.Result) simulate.Distribution { return x.TTFT })
	distribution("TPOT", 1e3, func(x *simulate.Result) simulate.Distribution { return x.TPOT })
	row("E2E p50", "s", func(x *simulate.Result) float64 { return x.Latency.P50 })
	row("E2E p99", "s", func(x *simulate.Result) float64 { return x.Latency.P99 })
	row("imbalance of requests", "", func(x *simulate.Result) float64 { return x.Imbalance })
	row("replica hours", "", func(x *simulate.Result) float64 { return x.ReplicaHours })
	row("most replicas at once", "", func(x *simulate.Result) float64 { return float64(x.MaxReplicas) })
	row("time until the last answer", "s", func(x *simulate.Result) float64 { return x.Duration })
	return t
}

// heading says what was simulated.
func (r *simulation) heading() []string {
	o, l := &r.Options, &r.Load
	list := []string{
		fmt.Sprintf("%s: %s over %s (%.4g /s), prompts of %.0f and answers of %.0f tokens on average; one cache for all would have %s of prompt tokens",
			l.Name, count(l.Requests, "request"), seconds(l.Seconds).Round(seconds(1)), l.Rate, l.MeanPromptTokens, l.MeanOutputTokens, report.FormatValue(l.IdealHits, "share")),
		fmt.Sprintf("%s; %s", o.Fleet, count(o.Gateways, "gateway")),
		"objectives: " + objectivesText(o.Objectives),
	}
	if len(o.Changes) > 0 {
		list = append(list, "changes: "+strings.Join(o.Changes, ", "))
	}
	if a := o.Autoscale; a != nil {
		list = append(list, fmt.Sprintf("autoscaled between %d and %d replicas, with %g outstanding %s for each", a.Min, a.Max, a.Target, a.Metric))
	}
	return list
}

func objectivesText(o report.Objectives) string {
	if !o.Any() {
		return "none; a complete answer is good"
	}
	return o.String()
}

// writeText writes the results for a terminal.
func (r *simulation) writeText(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintln(&b, strings.Join(r.heading(), "\n"))
	if r.Plan != nil {
		r.writePlan(&b)
	} else {
		writeTable(&b, r.table())
		if len(r.Policies) == 1 {
			writeTable(&b, r.details())
		}
		if v := r.verdict(); len(v) > 0 {
			fmt.Fprintf(&b, "\n%s\n", strings.Join(v, "\n"))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// writeTable writes a table with its title, after an empty line.
func writeTable(w io.Writer, t report.Table) {
	fmt.Fprintf(w, "\n%s\n", t.Title)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, row := range append([][]string{t.Head}, t.Rows...) {
		fmt.Fprintf(tw, "  %s\n", strings.Join(row, "\t"))
	}
	tw.Flush()
}
