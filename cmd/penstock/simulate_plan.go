package main

import (
	"cmp"
	"fmt"
	"io"
	"math"
	"slices"
	"strings"

	"github.com/penstock/penstock/bench/report"
	"github.com/penstock/penstock/bench/simulate"
)

// fixedTrials are the numbers of replicas that were tried, in order of the number.
func (r *simulation) fixedTrials() []simulate.Trial {
	return r.trials(func(t simulate.Trial) bool { return t.Target == 0 }, func(t simulate.Trial) float64 { return float64(t.Replicas) })
}

// scaledTrials are the targets that were tried, in order of the target.
func (r *simulation) scaledTrials() []simulate.Trial {
	return r.trials(func(t simulate.Trial) bool { return t.Target > 0 }, func(t simulate.Trial) float64 { return t.Target })
}

func (r *simulation) trials(wanted func(simulate.Trial) bool, by func(simulate.Trial) float64) (list []simulate.Trial) {
	for _, t := range r.Plan.Tried {
		if wanted(t) {
			list = append(list, t)
		}
	}
	slices.SortStableFunc(list, func(a, b simulate.Trial) int { return cmp.Compare(by(a), by(b)) })
	return list
}

// trialTables show all that was tried.
func (r *simulation) trialTables() []report.Table {
	table := func(title, head string, of func(simulate.Trial) string, trials []simulate.Trial) report.Table {
		t := report.Table{Title: title, Head: []string{head, "met", "goodput", "TTFT p99", "TPOT p99", "cache hits", "imbalance", "refused", "failed", "most replicas", "replica hours"}}
		for _, x := range trials {
			met := "no"
			if x.Result.Goodput >= r.Options.Plan.Share {
				met = "yes"
			}
			t.Rows = append(t.Rows, []string{of(x), met, percent(x.Result.Goodput), report.FormatValue(x.Result.TTFT.P99, "s"), report.FormatValue(x.Result.TPOT.P99/1e3, "s"),
				percent(x.Result.CacheHits), report.FormatValue(x.Result.TokenImbalance, ""), fmt.Sprint(x.Result.Refused), fmt.Sprint(x.Result.Failed),
				fmt.Sprint(x.Result.MaxReplicas), fmt.Sprintf("%.2f", x.Result.ReplicaHours)})
		}
		return t
	}
	tables := []report.Table{table(fmt.Sprintf("Fixed numbers of replicas that were tried%s", r.ofSeeds()), "replicas",
		func(t simulate.Trial) string { return fmt.Sprint(t.Replicas) }, r.fixedTrials())}
	if p := r.Plan.Scaled; p != nil {
		tables = append(tables, table(fmt.Sprintf("Autoscaler's targets that were tried, with %d to %d replicas%s", p.Min, p.Max, r.ofSeeds()),
			fmt.Sprintf("%s per replica", p.Metric), func(t simulate.Trial) string { return fmt.Sprintf("%g", t.Target) }, r.scaledTrials()))
	}
	return tables
}

func percent(share float64) string { return fmt.Sprintf("%.2f %%", share*100) }

// share writes the share that is asked for with the digits that it has.
func (r *simulation) share() string { return fmt.Sprintf("%.6g %%", r.Options.Plan.Share*100) }

// ofSeeds says which seed a goodput is of.
func (r *simulation) ofSeeds() string {
	if r.Options.Seeds == 1 {
		return ""
	}
	return fmt.Sprintf(", with the worst of %d seeds", r.Options.Seeds)
}

// answer is the plan in sentences.
func (r *simulation) answer() []string {
	p := r.Plan
	var list []string
	if p.Met {
		text := fmt.Sprintf("The load needs %s: %s of the requests meet the objectives%s; %s were asked for.", count(p.Replicas, "replica"), percent(p.Fixed.Goodput), r.ofSeeds(), r.share())
		if p.Fewer != nil {
			text += fmt.Sprintf(" With %d it is %s.", p.Replicas-1, percent(p.Fewer.Goodput))
		}
		list = append(list, text)
	} else {
		best := slices.MaxFunc(r.fixedTrials(), func(a, b simulate.Trial) int { return cmp.Compare(a.Result.Goodput, b.Result.Goodput) })
		text := fmt.Sprintf("NOT MET: no number of replicas up to %d lets %s of the requests meet the objectives%s. The best was %s with %s.",
			p.Replicas, r.share(), r.ofSeeds(), percent(best.Result.Goodput), count(best.Replicas, "replica"))
		if p.Replicas >= r.Options.Plan.Max {
			text += " If more replicas helped, try a higher --max-replicas; else the objectives, the profile or the policy are what limits."
		}
		list = append(list, text)
	}
	if s := p.Scaled; s != nil {
		list = append(list, r.scaledAnswer(s))
	}
	return list
}

func (r *simulation) scaledAnswer(s *simulate.ScaledPlan) string {
	what := fmt.Sprintf("an autoscaler that keeps %g outstanding %s for each of %d to %d replicas", s.Target, s.Metric, s.Min, s.Max)
	if !s.Met {
		return fmt.Sprintf("NOT MET: no target for an autoscaler lets %s of the requests meet the objectives%s, not even the lowest: %s has %s.", r.share(), r.ofSeeds(), what, percent(s.Run.Goodput))
	}
	saved := fmt.Sprintf("%.1f %% fewer", s.Saved*100)
	if s.Saved < 0 {
		saved = fmt.Sprintf("%.1f %% more", -s.Saved*100)
	}
	text := fmt.Sprintf("%s has %s%s. It takes %.2f replica hours, %s than the fixed number.", capital(what), percent(s.Run.Goodput), r.ofSeeds(), s.Run.ReplicaHours, saved)
	if s.Saved <= 0 {
		text += " For a load as steady as this one a fixed number is the better choice."
	}
	return text
}

// scalerManifest is the autoscaler for Kubernetes; empty where none was found.
func (r *simulation) scalerManifest() string {
	s := r.Plan.Scaled
	if s == nil || !s.Met {
		return ""
	}
	return fmt.Sprintf(`apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: model-server}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: model-server}
  minReplicas: %d
  maxReplicas: %d
  metrics:
  - type: External
    external:
      metric: {name: penstock_outstanding_%s} # the sum over all gateways
      target: {type: AverageValue, averageValue: %q}
  behavior:
    scaleDown: {stabilizationWindowSeconds: %d}
`, s.Min, s.Max, s.Metric, quantity(s.Target), int(math.Round(r.Options.Plan.Stabilization)))
}

// quantity writes a target as Kubernetes does, which has no fractions below a thousandth.
func quantity(x float64) string {
	if x == math.Trunc(x) {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.0fm", x*1000)
}

// writePlan writes the plan for a terminal.
func (r *simulation) writePlan(w io.Writer) {
	fmt.Fprintf(w, "policy %s\n", r.Options.Policies[0])
	for _, t := range r.trialTables() {
		writeTable(w, t)
	}
	fmt.Fprintf(w, "\n%s\n", strings.Join(r.answer(), "\n"))
	if m := r.scalerManifest(); m != "" {
		fmt.Fprintf(w, "\n%s", m)
	}
}
