package report

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// Format is the version of the JSON that a Report is written as. Fields may be added under the same number.
const Format = 1

// Direct is the name of the target that others are measured against: the model server without what stands in front.
const Direct = "direct"

// Report is all that one call of the load generator found.
type Report struct {
	// Format is the version of this format.
	Format int `json:"format"`
	// Version is the program's version, and Command its command line.
	Version string   `json:"version"`
	Command []string `json:"command"`
	// Started is when the first run began, and Machine what ran the generator.
	Started time.Time `json:"started"`
	Machine string    `json:"machine"`
	// Load says what was sent.
	Load Load `json:"load"`
	// Objectives are what goodput asks for.
	Objectives Objectives `json:"objectives"`
	// Parameters are the other settings, for readers.
	Parameters []Parameter `json:"parameters,omitempty"`
	// CutShort says that the report lacks runs, or that its last run is not whole.
	CutShort bool `json:"cutShort,omitempty"`
	// Runs are all runs in the order in which they ran.
	Runs []Run `json:"runs"`
	// Groups sum up the rounds of each target and rate, in the order of their first runs.
	Groups []Group `json:"groups"`
	// Sweeps say where each target saturates; empty with one rate.
	Sweeps []Sweep `json:"sweeps,omitempty"`
	// Warnings are what makes figures doubtful.
	Warnings []string `json:"warnings,omitempty"`
}

// Load is what was sent, as planned for the first run.
type Load struct {
	Name string `json:"name"`
	// Requests is how many requests there are, over Seconds.
	Requests int     `json:"requests"`
	Seconds  float64 `json:"seconds"`
	// MeanPromptTokens and MeanOutputTokens are the lengths that were asked for.
	MeanPromptTokens float64 `json:"meanPromptTokens"`
	MeanOutputTokens float64 `json:"meanOutputTokens"`
}

// Parameter is a setting.
type Parameter struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// Run is one run: a target, a rate and a round.
type Run struct {
	// Target names what was measured, and URL is where it was.
	Target string `json:"target"`
	URL    string `json:"url"`
	// Rate is the rate that was asked for; 0 is the trace's own. Round counts from 1.
	Rate  float64 `json:"rate"`
	Round int     `json:"round"`
	// Seed is what arrivals and texts were made from.
	Seed   uint64  `json:"seed"`
	Result *Result `json:"result"`
}

// Group is what the rounds of one target at one rate have in common.
type Group struct {
	Target  string   `json:"target"`
	Rate    float64  `json:"rate"`
	Rounds  int      `json:"rounds"`
	Figures []Figure `json:"figures"`
}

// Figure is one figure over the rounds.
type Figure struct {
	// Name says which, such as "TTFT p99"; Unit is "s", "/s", "share" or empty.
	Name string `json:"name"`
	Unit string `json:"unit"`
	Spread
	// Ratio compares with the first target, round by round as both saw the same arrivals; nil for the first target, and where it had 0.
	Ratio *Spread `json:"ratio,omitempty"`
	// Added is what this target had more than the target "direct", round by round; nil without one, and for what is no latency.
	Added *Spread `json:"added,omitempty"`
}

// Sweep is what the steps of one target tell together.
type Sweep struct {
	Target string `json:"target"`
	// HoldsUpTo is the highest rate before the first that did not hold; 0 if none held.
	HoldsUpTo float64 `json:"holdsUpTo"`
	// SaturatesAt is the lowest rate that did not hold; 0 if all held. A rate holds if, in the median, 95 % of its requests met the
	// objectives; without objectives, if it kept up (Result.KeptUp of 0.9 or more) without drops.
	SaturatesAt float64 `json:"saturatesAt"`
	// BestGoodput is the highest goodput of a step, and BestRate its rate.
	BestGoodput float64 `json:"bestGoodput"`
	BestRate    float64 `json:"bestRate"`
}

const (
	holdingShare  = 0.95
	holdingKeptUp = 0.9
)

// figure says how to take a figure from a result.
type figure struct {
	name, unit string
	latency    bool
	value      func(*Result) (value float64, ok bool)
}

// Names of the figures that charts and sweeps pick out.
const (
	goodputName      = "goodput"
	goodputShareName = "goodput share"
	keptUpName       = "kept up"
	droppedName      = "dropped"
)

func latencies(name string, of func(*Result) Distribution) []figure {
	take := func(q string, value func(Distribution) float64) figure {
		return figure{name + " " + q, "s", true, func(r *Result) (float64, bool) { d := of(r); return value(d), d.Count > 0 }}
	}
	return []figure{
		take("mean", func(d Distribution) float64 { return d.Mean }),
		take("p50", func(d Distribution) float64 { return d.P50 }),
		take("p99", func(d Distribution) float64 { return d.P99 }),
		take("p99.9", func(d Distribution) float64 { return d.P999 }),
	}
}

// figures is every figure that rounds are compared in.
var figures = slices.Concat(
	[]figure{
		{"offered", "/s", false, func(r *Result) (float64, bool) { return r.OfferedRate, true }},
		{"achieved", "/s", false, func(r *Result) (float64, bool) { return r.AchievedRate, true }},
		{"completed", "/s", false, func(r *Result) (float64, bool) { return r.CompletedRate, true }},
		{goodputName, "/s", false, func(r *Result) (float64, bool) { return r.Goodput, true }},
		{goodputShareName, "share", false, func(r *Result) (float64, bool) { return r.GoodputShare, true }},
	},
	latencies("TTFT", func(r *Result) Distribution { return r.TTFT }),
	latencies("TPOT", func(r *Result) Distribution { return r.TPOT }),
	latencies("E2E", func(r *Result) Distribution { return r.E2E }),
	[]figure{
		{"gap p99", "s", true, func(r *Result) (float64, bool) { return r.GapP99, r.GapMax > 0 }},
		{"gap max", "s", true, func(r *Result) (float64, bool) { return r.GapMax, r.GapMax > 0 }},
		{"output tokens", "/s", false, func(r *Result) (float64, bool) { return r.OutputTokenRate, true }},
		{"cached", "share", false, func(r *Result) (float64, bool) { return r.CachedShare, r.PromptTokens > 0 }},
		{"failed", "", false, func(r *Result) (float64, bool) { return float64(r.Failed), true }},
		{droppedName, "", false, func(r *Result) (float64, bool) { return float64(r.Dropped), true }},
		{keptUpName, "", false, func(r *Result) (float64, bool) { return r.KeptUp, true }},
		{"request imbalance", "", false, func(r *Result) (float64, bool) { return r.RequestImbalance, r.RequestImbalance > 0 }},
		{"token imbalance", "", false, func(r *Result) (float64, bool) { return r.TokenImbalance, r.TokenImbalance > 0 }},
		{"CPU per request", "s", true, func(r *Result) (float64, bool) { return cpuOf(r).PerRequest, r.CPU != nil }},
		{"CPU per piece", "s", true, func(r *Result) (float64, bool) { return cpuOf(r).PerPiece, cpuOf(r).PerPiece > 0 }},
		{"schedule delay p99", "s", false, func(r *Result) (float64, bool) { return r.ScheduleDelay.P99, true }},
	},
)

func cpuOf(r *Result) CPU {
	if r.CPU == nil {
		return CPU{}
	}
	return *r.CPU
}

// Find returns a figure of the group by its name.
func (g *Group) Find(name string) (Figure, bool) {
	i := slices.IndexFunc(g.Figures, func(f Figure) bool { return f.Name == name })
	if i < 0 {
		return Figure{}, false
	}
	return g.Figures[i], true
}

// median is the median of a figure, 0 where the group lacks it.
func (g *Group) median(name string) float64 {
	f, _ := g.Find(name)
	return f.Median
}

// Finish computes Groups, Sweeps and Warnings from Runs.
func (r *Report) Finish() {
	r.Format = Format
	r.Groups, r.Sweeps, r.Warnings = nil, nil, nil
	type key struct {
		target string
		rate   float64
	}
	runs := make(map[key][]*Run)
	var order []key
	for i := range r.Runs {
		run := &r.Runs[i]
		k := key{run.Target, run.Rate}
		if runs[k] == nil {
			order = append(order, k)
		}
		runs[k] = append(runs[k], run)
		r.warn(run)
	}
	for _, k := range order {
		g := Group{Target: k.target, Rate: k.rate, Rounds: len(runs[k])}
		first := runs[key{r.firstTarget(), k.rate}]
		direct := runs[key{Direct, k.rate}]
		for _, f := range figures {
			value := func(run *Run) (float64, bool) { return f.value(run.Result) }
			values := each(runs[k], value)
			if len(values) == 0 {
				continue
			}
			x := Figure{Name: f.name, Unit: f.unit, Spread: SpreadOf(values)}
			if k.target != r.firstTarget() {
				x.Ratio = paired(runs[k], first, value, func(a, b float64) (float64, bool) { return a / b, b > 0 })
			}
			if f.latency && k.target != Direct {
				x.Added = paired(runs[k], direct, value, func(a, b float64) (float64, bool) { return a - b, true })
			}
			g.Figures = append(g.Figures, x)
		}
		r.Groups = append(r.Groups, g)
	}
	r.sweep()
}

// firstTarget is what ratios compare with: the first target that is not the direct one.
func (r *Report) firstTarget() string {
	for _, run := range r.Runs {
		if run.Target != Direct {
			return run.Target
		}
	}
	return Direct
}

func each(runs []*Run, value func(*Run) (float64, bool)) (values []float64) {
	for _, run := range runs {
		if x, ok := value(run); ok {
			values = append(values, x)
		}
	}
	return values
}

// paired combines the values of runs of the same round.
func paired(runs, others []*Run, value func(*Run) (float64, bool), combine func(a, b float64) (float64, bool)) *Spread {
	var values []float64
	for _, run := range runs {
		i := slices.IndexFunc(others, func(o *Run) bool { return o.Round == run.Round })
		if i < 0 {
			continue
		}
		a, ok := value(run)
		b, okToo := value(others[i])
		if !ok || !okToo {
			continue
		}
		if x, ok := combine(a, b); ok {
			values = append(values, x)
		}
	}
	if len(values) == 0 {
		return nil
	}
	s := SpreadOf(values)
	return &s
}

// sweep finds where each target saturates, in order of rates.
func (r *Report) sweep() {
	var targets []string
	steps := make(map[string][]*Group)
	for i := range r.Groups {
		g := &r.Groups[i]
		if steps[g.Target] == nil {
			targets = append(targets, g.Target)
		}
		steps[g.Target] = append(steps[g.Target], g)
	}
	for _, target := range targets {
		list := steps[target]
		if len(list) < 2 {
			continue
		}
		slices.SortStableFunc(list, func(a, b *Group) int { return cmp.Compare(a.Rate, b.Rate) })
		s := Sweep{Target: target}
		for _, g := range list {
			switch holds := r.holds(g); {
			case holds && s.SaturatesAt == 0:
				s.HoldsUpTo = g.Rate
			case !holds && s.SaturatesAt == 0:
				s.SaturatesAt = g.Rate
			}
			if x := g.median(goodputName); x > s.BestGoodput {
				s.BestGoodput, s.BestRate = x, g.Rate
			}
		}
		r.Sweeps = append(r.Sweeps, s)
	}
}

func (r *Report) holds(g *Group) bool {
	if r.Objectives.Any() {
		return g.median(goodputShareName) >= holdingShare
	}
	return g.median(keptUpName) >= holdingKeptUp && g.median(droppedName) == 0
}

// warn adds what makes a run's figures doubtful.
func (r *Report) warn(run *Run) {
	x := run.Result
	where := run.Target
	if run.Rate > 0 {
		where += fmt.Sprintf(" at %g/s", run.Rate)
	}
	where += fmt.Sprintf(", round %d: ", run.Round)
	add := func(format string, args ...any) { r.Warnings = append(r.Warnings, where+fmt.Sprintf(format, args...)) }
	if x.ScheduleDelay.P99 > lateGenerator {
		add("the generator was the bottleneck: it sent up to %s late at p99. Latencies include that; lower the rate, or give it more cores and --workers.",
			seconds(x.ScheduleDelay.P99))
	}
	if x.Dropped > 0 {
		add("the generator dropped %d of %d arrivals, as --max-in-flight requests were in flight. Latencies lack what these would have had.", x.Dropped, x.Arrivals)
	}
	if x.WithoutUsage > 0 {
		add("%d answers told no usage: tokens and time per token leave them out.", x.WithoutUsage)
	}
	if x.Arrivals == 0 {
		add("nothing was measured: no request was due after the warmup.")
	} else if x.Completed == 0 {
		add("no request was answered completely.")
	}
	if x.CutShort {
		add("the run was cut short; %d requests in flight were given up.", x.Cancelled)
	}
}

// WriteJSON writes the report as indented JSON.
func (r *Report) WriteJSON(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(r)
}

// ReadJSON reads what WriteJSON wrote.
func ReadJSON(in io.Reader) (*Report, error) {
	r := new(Report)
	if err := json.NewDecoder(in).Decode(r); err != nil {
		return nil, fmt.Errorf("cannot read a report: %w", err)
	}
	if r.Format != Format {
		return nil, fmt.Errorf("cannot read a report of format %d: this program reads format %d", r.Format, Format)
	}
	return r, nil
}
