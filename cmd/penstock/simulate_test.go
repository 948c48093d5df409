package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/net/html"

	"github.com/penstock/penstock/bench/simulate"
)

func TestSimulateCommandLines(t *testing.T) {
	for args, want := range map[string]string{
		"more":                                  `"more" is not a flag`,
		"--rate 0":                              `--rate is 0: want more than 0`,
		"--rate NaN":                            `--rate is NaN: want more than 0`,
		"--time-scale 2":                        `--time-scale has no meaning without --trace FILE`,
		"--trace x --time-scale 2 --rate 3":     `--time-scale cannot be combined with --rate`,
		"--trace x --workload no-reuse":         `--workload cannot be combined with --trace`,
		"--workload chatty":                     `--workload is "chatty": want one of independent, no-reuse, prefix-heavy`,
		"--limit -1":                            `--limit is -1: want at least 1`,
		"--seeds 0":                             `--seeds is 0: want 1 to 1000`,
		"--parallel -1":                         `--parallel is -1: want at least 1`,
		"--policy best":                         `--policy is "best": want one of auto, `,
		"--compare best":                        `--compare has "best": want all, rivals or some of auto, `,
		"--compare=":                            `--compare has "": want all, rivals or some of auto, `,
		"--compare auto,auto":                   `--compare has auto twice`,
		"--compare auto --policy auto":          `--policy cannot be combined with --compare`,
		"--compare auto --plan":                 `--plan cannot be combined with --compare`,
		"--fleet 8":                             `--fleet has "8": want COUNTxPROFILE, such as 8xllama3-8b-h100`,
		"--fleet 0xllama3-8b-h100":              `--fleet has "0xllama3-8b-h100": want COUNTxPROFILE`,
		"--fleet 8xpotato":                      `--fleet: cannot find profile "potato": the profiles are llama3-8b-a100, `,
		"--fleet 8xllama3-8b-h100*0":            `--fleet has "llama3-8b-h100*0": want a factor above 0`,
		"--fleet 8xllama3-8b-h100*fast":         `--fleet has "llama3-8b-h100*fast": want a factor above 0`,
		"--fleet 8xllama3-8b-h100 --replicas 2": `--replicas cannot be combined with --fleet`,
		"--fleet 8xllama3-8b-h100 --profile x":  `--profile cannot be combined with --fleet`,
		"--fleet 99999xllama3-8b-h100,2xllama3-8b-h100": `cannot simulate with replicas = 100001: want 1 to 100000`,
		"--replicas 0":                             `--replicas is 0: want at least 1`,
		"--profile potato":                         `--profile: cannot find profile "potato"`,
		"--kv-tokens -1":                           `--kv-tokens is -1: want at least 1, or 0 for what the profile says`,
		"--max-num-batched-tokens 5":               `cannot use a budget of 5 tokens a step with 1024 sequences`,
		"--gateways 0":                             `cannot simulate with gateways = 0: want 1 to 1000`,
		"--poll-loss 2":                            `cannot simulate with poll loss = 2: want 0 to 1`,
		"--poll-interval 1us":                      `want 0 (never) or at least 1ms`,
		"--network -1s":                            `cannot simulate with a network time of -1s`,
		"--ttft -1s":                               `cannot simulate with a TTFT objective of -1s`,
		"--change kill":                            `--change is "kill": want TIME:KIND:NUMBER, such as 60s:kill:3`,
		"--change x:kill:0":                        `--change is "x:kill:0": want TIME:KIND:NUMBER`,
		"--change -1s:kill:0":                      `--change is "-1s:kill:0": want TIME:KIND:NUMBER`,
		"--change 1s:melt:0":                       `--change is "1s:melt:0": want TIME:KIND:NUMBER`,
		"--change 1s:kill:x":                       `--change is "1s:kill:x": want TIME:KIND:NUMBER`,
		"--change 1s:kill:4":                       `cannot kill replica 4: the fleet has replicas 0 to 3`,
		"--change 1s:add:0":                        `cannot add 0 replicas: want 1 to 100000`,
		"--change 1s:kill:1 --plan":                `--plan tries a single replica, too, so it can kill replica 0 only`,
		"--autoscale=":                             `--autoscale is empty: want METRIC:TARGET`,
		"--autoscale requests":                     `--autoscale is "requests": want METRIC:TARGET, such as requests:20`,
		"--autoscale users:5":                      `--autoscale is "users:5": want METRIC:TARGET`,
		"--autoscale tokens:0":                     `--autoscale is "tokens:0": want METRIC:TARGET`,
		"--autoscale tokens:5 --min-replicas 0":    `--min-replicas is 0: want at least 1`,
		"--autoscale tokens:5 --min-replicas 70":   `--max-replicas is 64: want at least 70, which is --min-replicas`,
		"--autoscale tokens:5 --max-replicas 3":    `--max-replicas is 3: the fleet begins with 4`,
		"--autoscale tokens:5 --stabilization -1s": `--stabilization is -1s: it must not be negative`,
		"--max-replicas 5":                         `--max-replicas has no meaning without --autoscale or --plan`,
		"--share 0.9":                              `--share has no meaning without --plan`,
		"--plan --share 1":                         `--share is 1: want more than 0 and less than 1, such as 0.99`,
		"--plan --scale-by users":                  `--scale-by is "users": want one of requests, tokens, none`,
		"--plan --scale-by none --min-replicas 2":  `--min-replicas has no meaning without an autoscaler, which --scale-by none excludes`,
		"--plan --replicas 3":                      `--replicas cannot be combined with --plan: it looks for their number`,
		"--plan --fleet 3xllama3-8b-h100":          `--fleet cannot be combined with --plan`,
		"--plan --autoscale requests:5":            `--autoscale cannot be combined with --plan`,
	} {
		var stdout, stderr bytes.Buffer
		code := simulateCommand(t.Context(), strings.Fields(args), &stdout, &stderr)
		if code != exitUsage || stdout.Len() > 0 || !strings.Contains(stderr.String(), want) {
			t.Errorf("penstock simulate %s: exit code %d, stdout %q, stderr %q does not say %q", args, code, &stdout, &stderr, want)
		}
	}
}

func TestSimulateFailsBeforeItRuns(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for args, want := range map[string]string{
		"--trace " + missing:                               `no such file`,
		"--json " + filepath.Join(missing, "x.json"):       `--json: open`,
		"--html " + filepath.Join(missing, "x.html"):       `--html: open`,
		"--rate 1e6 --duration 10000h":                     `more than a run can send`,
		"--rate 0.01 --duration 10ms --seed 3 --limit 100": `no request is due in the first 10ms`,
	} {
		var stdout, stderr bytes.Buffer
		code := simulateCommand(t.Context(), strings.Fields(args), &stdout, &stderr)
		if code != exitFailure || stdout.Len() > 0 || !strings.Contains(stderr.String(), want) {
			t.Errorf("penstock simulate %s: exit code %d, stderr %q does not say %q", args, code, &stderr, want)
		}
	}
}

func TestFleetFlag(t *testing.T) {
	s, _, ok := parseSimulate(strings.Fields("--fleet 2xllama3-8b-h100,3xllama3-8b-h100*0.5 --kv-tokens 100000 --max-num-seqs 7 --max-num-batched-tokens 1000"), io.Discard)
	if !ok || len(s.options.Fleet) != 2 || s.fleetText() != "2 × llama3-8b-h100, 3 × llama3-8b-h100*0.5" {
		t.Fatalf("%v", s)
	}
	a, b := s.options.Fleet[0].Engine, s.options.Fleet[1].Engine
	if b.StepBase != 2*a.StepBase || b.WeightTime != 2*a.WeightTime || b.ComputeRate != a.ComputeRate/2 || b.PerSequence != 2*a.PerSequence ||
		b.PerContextToken != 2*a.PerContextToken || b.PerPair != 2*a.PerPair || b.PerToken != 2*a.PerToken || b.Overhead != 2*a.Overhead {
		t.Errorf("half as fast as %+v is %+v", a, b)
	}
	if b.KVTokens != 100000 || b.MaxSequences != 7 || b.MaxBatchedTokens != 1000 {
		t.Errorf("limits of %+v", b)
	}
}

func TestCompareFlag(t *testing.T) {
	for list, want := range map[string][]string{
		"all":               simulate.PolicyNames(),
		"random,all,random": nil,
		"rivals, auto":      {"rival-bounded-load", "rival-dynamo", "rival-llm-d", "rival-sglang", "auto"},
	} {
		s, _, ok := parseSimulate([]string{"--compare", list}, io.Discard)
		if ok != (want != nil) || ok && !slices.Equal(s.policies, want) {
			t.Errorf("--compare %s: %v", list, s)
		}
	}
}

// simulated runs penstock simulate with JSON and HTML, and returns all that it wrote but progress.
func simulated(t *testing.T, args string) (stdout, jsonText, page string) {
	t.Helper()
	dir := t.TempDir()
	jsonFile, htmlFile := filepath.Join(dir, "r.json"), filepath.Join(dir, "r.html")
	var out, stderr bytes.Buffer
	if code := run(t.Context(), append([]string{"simulate", "--json", jsonFile, "--html", htmlFile}, strings.Fields(args)...), &out, &stderr); code != exitOK {
		t.Fatalf("%s: exit code %d: %s", args, code, &stderr)
	}
	if !regexp.MustCompile(`(?m)^\d+ of \d+ runs? done in |^tried `).Match(stderr.Bytes()) {
		t.Errorf("%s: progress is %q", args, &stderr)
	}
	read := func(path string) string {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	return out.String(), read(jsonFile), read(htmlFile)
}

// readSimulation decodes the JSON, which must encode to the same again.
func readSimulation(t *testing.T, text string) *simulation {
	t.Helper()
	var r simulation
	d := json.NewDecoder(strings.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.writeJSON(&b); err != nil || b.String() != text {
		t.Errorf("the JSON is another one when it was read, %v", err)
	}
	return &r
}

func checkSelfContained(t *testing.T, page string) {
	t.Helper()
	var open []string
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			if !errors.Is(z.Err(), io.EOF) || len(open) > 0 {
				t.Fatalf("the page ends with %v within %v", z.Err(), open)
			}
			return
		}
		token := z.Token()
		if slices.Contains([]string{"script", "link", "img", "iframe"}, token.Data) && kind != html.TextToken {
			t.Errorf("the page has <%s>", token.Data)
		}
		for _, a := range token.Attr {
			if slices.Contains([]string{"src", "href", "style"}, a.Key) {
				t.Errorf("<%s> has %s", token.Data, a.Key)
			}
		}
		switch {
		case kind == html.StartTagToken && token.Data != "meta":
			open = append(open, token.Data)
		case kind == html.EndTagToken:
			if n := len(open); n == 0 || open[n-1] != token.Data {
				t.Fatalf("</%s> ends %v", token.Data, open)
			}
			open = open[:len(open)-1]
		}
	}
}

const smallFleet = "--replicas 2 --profile llama3-8b-a100 --workload prefix-heavy --rate 5 --requests 150 --ttft 1s "

func TestSimulateComparesPolicies(t *testing.T) {
	args := smallFleet + "--compare random,auto,rival-sglang --seeds 3 --gateways 2 --change 10s:kill:1 --change 20s:add:1 --start-time 5s"
	stdout, text, page := simulated(t, args)
	r := readSimulation(t, text)
	if r.Format != 1 || len(r.Policies) != 3 || r.Policies[0].Policy != "random" || len(r.Policies[0].Runs) != 3 || r.Load.Requests != 150 || r.Options.Gateways != 2 {
		t.Errorf("%+v", r)
	}
	ranked := r.ranked()
	if r.Best != ranked[0].Policy || ranked[0].Goodput.Mean < ranked[1].Goodput.Mean || ranked[1].Goodput.Mean < ranked[2].Goodput.Mean {
		t.Errorf("the best is %s", r.Best)
	}
	for _, s := range ranked[1:] {
		if !strings.Contains(stdout, s.Policy+" (by ") {
			t.Errorf("the output does not say how far %s is behind:\n%s", s.Policy, stdout)
		}
	}
	for _, want := range []string{
		"prefix-heavy: 150 requests over", "2 × llama3-8b-a100; 2 gateways", "objectives: TTFT up to 1.00 s, TPOT up to 60.0 ms", "changes: 10s:kill:1, 20s:add:1",
		"Policies over 3 seeds, with 95 % confidence intervals", "imbalance", "±", "The highest goodput has " + r.Best,
	} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the output has no %q:\n%s", want, stdout)
		}
	}
	if !regexp.MustCompile(`(?m)^  ` + r.Best + ` +best +\d`).MatchString(stdout) {
		t.Errorf("the best is not marked:\n%s", stdout)
	}
	checkSelfContained(t, page)
	for _, want := range []string{"Goodput by policy", "Time to first token", "pollIntervalSeconds", r.Best + " ±"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
	for _, parallel := range []string{"1", "5"} {
		out, again, samePage := simulated(t, args+" --parallel "+parallel)
		if out != stdout || again != text || samePage != page {
			t.Errorf("the output differs with --parallel %s", parallel)
		}
	}
}

func TestSimulateOnePolicy(t *testing.T) {
	stdout, text, page := simulated(t, smallFleet+"--policy least-tokens --limit 80 --autoscale requests:3 --max-replicas 6 --min-replicas 2 --start-time 1s")
	r := readSimulation(t, text)
	if r.Best != "" || len(r.Policies) != 1 || r.Load.Requests != 80 || r.Options.Autoscale == nil || r.Options.Autoscale.Stabilization != 300 {
		t.Errorf("%+v", r)
	}
	for _, want := range []string{"Policies over 1 seed\n", "More of least-tokens", "met the TTFT objective", "replica hours", "autoscaled between 2 and 6 replicas, with 3 outstanding requests for each"} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the output has no %q:\n%s", want, stdout)
		}
	}
	if strings.Contains(stdout, "±") {
		t.Errorf("one seed has no interval:\n%s", stdout)
	}
	checkSelfContained(t, page)
}

func TestSimulatePlaysATrace(t *testing.T) {
	file := filepath.Join(t.TempDir(), "trace.csv")
	rows := "TIMESTAMP,ContextTokens,GeneratedTokens\n2023-11-16 18:15:46.0000000,100,5\n2023-11-16 18:15:56.0000000,100,5\n"
	if err := os.WriteFile(file, []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]simulatedLoad{
		"":                  {Requests: 2, Seconds: 10},
		"--superpose 3":     {Requests: 6, Seconds: 10},
		"--time-scale 4":    {Requests: 2, Seconds: 2.5},
		"--rate 2":          {Requests: 2, Seconds: 1},
		"--limit 1":         {Requests: 1},
		"--duration 5000ms": {Requests: 1},
	} {
		_, text, _ := simulated(t, args+" --trace "+file)
		if r := readSimulation(t, text); r.Load.Requests != want.Requests || r.Load.Seconds != want.Seconds {
			t.Errorf("%s: %+v", args, r.Load)
		}
	}
}

func TestSimulatePlans(t *testing.T) {
	args := "--plan --profile llama3-8b-a100 --workload no-reuse --rate 12 --requests 300 --share 0.95 --ttft 2s --max-replicas 9 --min-replicas 2 --stabilization 2m --start-time 10s --seeds 2"
	stdout, text, page := simulated(t, args)
	r := readSimulation(t, text)
	p := r.Plan
	if p == nil || !p.Met || p.Fixed.Goodput < .95 || p.Fewer == nil || p.Fewer.Goodput >= .95 || p.Scaled == nil || len(p.Tried) < 4 {
		t.Fatalf("%+v", p)
	}
	for _, want := range []string{"The load needs ", "with the worst of 2 seeds", "95 % were asked for", "Fixed numbers of replicas that were tried", "Autoscaler's targets that were tried, with 2 to "} {
		if !strings.Contains(stdout, want) {
			t.Errorf("the output has no %q:\n%s", want, stdout)
		}
	}
	if p.Scaled.Met != strings.Contains(stdout, "metric: {name: penstock_outstanding_requests}") || p.Scaled.Met != strings.Contains(stdout, "stabilizationWindowSeconds: 120") {
		t.Errorf("the manifest of %+v:\n%s", p.Scaled, stdout)
	}
	if !strings.Contains(page, "Goodput by replicas") || !strings.Contains(page, "Goodput by the autoscaler") {
		t.Error("the page has no charts of the plan")
	}
	checkSelfContained(t, page)
	if out, again, samePage := simulated(t, args+" --parallel 1"); out != stdout || again != text || samePage != page {
		t.Error("the output differs with --parallel 1")
	}
}

func TestSimulateSaysThatAPlanIsNotMet(t *testing.T) {
	stdout, text, _ := simulated(t, smallPlan+"--max-replicas 2 --ttft 1ms")
	if r := readSimulation(t, text); r.Plan.Met || r.Plan.Scaled != nil {
		t.Errorf("%+v", r.Plan)
	}
	if !strings.Contains(stdout, "NOT MET: no number of replicas up to 2 lets 99 % of the requests meet the objectives. The best was 0.00 % with ") {
		t.Error(stdout)
	}
}

const smallPlan = "--plan --scale-by none --profile llama3-8b-a100 --rate 10 --requests 50 "

func TestScalerManifest(t *testing.T) {
	r := &simulation{Options: simulatedOptions{Plan: &simulatedPlan{Stabilization: 300}},
		Plan: &simulate.Plan{Scaled: &simulate.ScaledPlan{Metric: simulate.OutstandingTokens, Target: 1.4, Min: 2, Max: 7, Met: true}}}
	m := r.scalerManifest()
	for _, want := range []string{"minReplicas: 2\n", "maxReplicas: 7\n", "metric: {name: penstock_outstanding_tokens}", `target: {type: AverageValue, averageValue: "1400m"}`} {
		if !strings.Contains(m, want) {
			t.Errorf("no %q in:\n%s", want, m)
		}
	}
	if r.Plan.Scaled.Target = 8200; !strings.Contains(r.scalerManifest(), `averageValue: "8200"`) {
		t.Error(r.scalerManifest())
	}
	if r.Plan.Scaled.Met = false; r.scalerManifest() != "" {
		t.Error("there is a manifest of what does not do")
	}
}

func TestVerdict(t *testing.T) {
	of := func(name string, half float64, goodputs ...float64) simulate.Summary {
		s := simulate.Summary{Policy: name, Goodput: simulate.EstimateOf(goodputs)}
		s.Goodput.Half = half
		for _, g := range goodputs {
			s.Runs = append(s.Runs, &simulate.Result{Goodput: g})
		}
		return s
	}
	r := &simulation{Options: simulatedOptions{Seeds: 2}, Policies: []simulate.Summary{of("c", .01, .8, .8), of("a", .01, .9, .9), of("b", .02, .89, .87)}}
	r.judge()
	if got := strings.Join(r.verdict(), "\n"); got != "The highest goodput has a, with 90.00 ±1.00 %.\nNot told apart from it, as their intervals overlap: b (by 2.00 ±12.71 points).\nWorse than it: c (by 10.00 ±0.00 points)." {
		t.Error(got)
	}
	r = &simulation{Options: simulatedOptions{Seeds: 1}, Policies: []simulate.Summary{of("a", 0, 1), of("b", 0, 1)}}
	r.judge()
	if got := strings.Join(r.verdict(), "\n"); !strings.Contains(got, "As high has: b (by 0.00 points).") || !strings.Contains(got, "None loses") || !strings.Contains(got, "One seed says nothing") {
		t.Error(got)
	}
}

// Each seed makes another load, and the seeds of --seeds follow --seed.
func TestSimulateSeeds(t *testing.T) {
	const load = "--workload no-reuse --rate 20 --requests 200 --replicas 2 "
	runs := func(args string) (seedsAndTTFT []float64) {
		_, text, _ := simulated(t, load+args)
		var got struct {
			Policies []struct {
				Runs []struct {
					Seed uint64
					TTFT struct{ Mean float64 }
				}
			}
		}
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			t.Fatal(err)
		}
		for _, r := range got.Policies[0].Runs {
			seedsAndTTFT = append(seedsAndTTFT, float64(r.Seed), r.TTFT.Mean)
		}
		return seedsAndTTFT
	}
	first, second := runs("--seed 7"), runs("--seed 8")
	if slices.Equal(first[1:], second[1:]) || first[0] != 7 || second[0] != 8 {
		t.Errorf("seeds 7 and 8 have %v and %v", first, second)
	}
	if both := runs("--seed 7 --seeds 2"); !slices.Equal(both, append(first, second...)) {
		t.Errorf("from seed 7 on two seeds have %v, want %v and %v", both, first, second)
	}
}

func TestSimulateEndsAtAnInterrupt(t *testing.T) {
	p := launch(t, "simulate", "--requests", "2000", "--seeds", "1000", "--parallel", "1", "--workload", "prefix-heavy", "--rate", "30", "--compare", "all")
	p.stderr.await(t, `0 of \d+ runs done`)
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(t); code != exitFailure || !strings.Contains(p.stderr.String(), "penstock simulate: the simulation was ended early, after ") || p.stdout.String() != "" {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, p.stdout, p.stderr)
	}
}

func TestSimulateEndsWithItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stdout, stderr bytes.Buffer
	if code := simulateCommand(ctx, nil, &stdout, &stderr); code != exitFailure || !strings.Contains(stderr.String(), "ended early") {
		t.Errorf("exit code %d, stderr %q", code, &stderr)
	}
}
