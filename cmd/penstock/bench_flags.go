package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/textproto"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/penstock/penstock/balancer"
	"github.com/penstock/penstock/bench/loadgen"
	"github.com/penstock/penstock/bench/mock"
	"github.com/penstock/penstock/bench/report"
)

// benchFlags is the command line of penstock bench.
type benchFlags struct {
	args []string

	load    loadFlags
	options loadgen.Options
	noSSE   bool
	api     string
	headers listFlag

	targets, targetPIDs listFlag
	direct              directFlag
	compare             string
	policies            []string // of --compare
	replicas            int
	profile             string
	engineSpeed         float64

	sweep  string
	rounds int

	ttft, tpot, e2e time.Duration
	json, html      string

	rates []float64 // what is run: --sweep, --rate, or 0 for a trace's own
	pids  map[string]int
}

// directFlag is a flag without a value, or with a URL.
type directFlag struct {
	set bool
	url string
}

// String is the flag's value as help shows it.
func (d *directFlag) String() string { return d.url }

// IsBoolFlag says that the flag may stand alone.
func (*directFlag) IsBoolFlag() bool { return true }

// Set takes the URL; "true" stands for none.
func (d *directFlag) Set(value string) error {
	d.set = value != "false"
	if value != "true" && value != "false" {
		d.url = value
	}
	return nil
}

const (
	defaultBenchRate     = 10
	defaultBenchDuration = 30 * time.Second
	// maxRounds bounds what one call runs.
	maxRounds = 1000
)

// define adds the flags.
func (b *benchFlags) define(f *flagSet) {
	d, o := loadgen.DefaultOptions, &b.options
	b.load.define(f, defaultBenchDuration, loadWords{sent: "are sent", duration: ", warmup included", seed: "times, lengths and texts. Each round adds 1 to it."})
	f.DurationVar(&o.Warmup, "warmup", 0, "Requests that are due in the first `DURATION` count in no figure.")
	f.IntVar(&o.Workers, "workers", (runtime.GOMAXPROCS(0)+1)/2, "Requests are sent by `N` workers, each with its own timer and connections.")
	f.IntVar(&o.MaxInFlight, "max-in-flight", d.MaxInFlight, "At most `N` requests are in flight; one that is due beyond them is dropped and counted, never delayed.")
	f.DurationVar(&o.Timeout, "timeout", d.Timeout, "A request is given up, and counted as failed, `DURATION` after it was due.")
	f.StringVar(&b.api, "api", string(d.API), "Requests are for the API `NAME`: chat or completions.")
	f.StringVar(&o.Model, "model", d.Model, "Requests ask for the model `NAME`.")
	f.Var(&b.headers, "header", "Requests have the header `\"NAME: VALUE\"`; may be given several times.")
	f.BoolVar(&b.noSSE, "no-stream", false, "Answers are asked for in one piece; they have no time to first token.")
	f.Var(&b.targets, "target", "Requests are sent to `[NAME=]URL`, without /v1; may be given several times to compare, over the same requests. Without it and --compare it is "+d.URL+".")
	f.Var(&b.targetPIDs, "target-pid", "The processor time of the process `[NAME=]PID` is reported for the target, on Linux; may be given several times.")
	f.Var(&b.direct, "direct", "Runs are repeated straight against a model server, and what the others add to it is reported. With --target its URL must be given, as --direct=URL; with policies a mock replica is used.")
	f.StringVar(&b.compare, "compare", "", "What the `LIST` has, with commas, is compared over the same requests: either policies, for each of which a gateway with mock replicas is started in this process ("+strings.Join(balancer.PolicyNames(), ", ")+"), or targets as NAME=URL, which are the same as several --target.")
	f.IntVar(&b.replicas, "replicas", 4, "With --compare POLICIES, each gateway has `N` mock replicas.")
	f.StringVar(&b.profile, "profile", mock.DefaultOptions.Profile, "With --compare POLICIES, the replicas take as long as the model and GPU of the profile `NAME`; penstock mock --help lists them.")
	f.Float64Var(&b.engineSpeed, "engine-speed", 1, "With --compare POLICIES, the replicas run `FACTOR` times as fast as their GPUs would.")
	f.StringVar(&b.sweep, "sweep", "", "The rates of the `LIST`, with commas, are run one after another, and where targets saturate is reported.")
	f.IntVar(&b.rounds, "rounds", 1, "Everything is run `N` times, targets in turn, and medians are reported with the lowest and the highest.")
	f.DurationVar(&b.ttft, "ttft", 0, "Goodput counts answers whose first token comes within `DURATION`; 0 asks for nothing.")
	f.DurationVar(&b.tpot, "tpot", 0, "Goodput counts answers with at most `DURATION` per token after the first; 0 asks for nothing.")
	f.DurationVar(&b.e2e, "e2e", 0, "Goodput counts answers that end within `DURATION`; 0 asks for nothing.")
	f.StringVar(&b.json, "json", "", "The report is written to `FILE` as JSON.")
	f.StringVar(&b.html, "html", "", "The report is written to `FILE` as one HTML page with charts.")
}

// parseBench reads the command line. If it ends the program, ok is false and code its exit code.
func parseBench(args []string, stderr io.Writer) (b *benchFlags, code int, ok bool) {
	b = &benchFlags{args: args}
	f := newFlags("bench", "Sends load to model servers, or to a gateway before them, and reports latencies, goodput and errors. The load is open-loop: no request waits for the answer to another.", stderr)
	b.define(f)
	if code, ok := f.parse(args); !ok {
		return nil, code, false
	}
	if err := b.check(f); err != nil {
		return nil, f.wrong("%v", err), false
	}
	return b, exitOK, true
}

// check completes the flags and says what is wrong with them.
func (b *benchFlags) check(f *flagSet) error {
	for _, check := range []func(*flagSet) error{b.checkLoad, b.checkRates, b.checkTargets, b.checkOptions, b.checkObjectives} {
		if err := check(f); err != nil {
			return err
		}
	}
	return nil
}

// withoutIts says which flag was given without the one that gives it a meaning.
func withoutIts(f *flagSet, needed string, flags ...string) error {
	for _, name := range flags {
		if f.isSet(name) {
			return fmt.Errorf("--%s has no meaning without %s", name, needed)
		}
	}
	return nil
}

func (b *benchFlags) checkLoad(f *flagSet) error {
	if b.load.file != "" && f.isSet("time-scale") && (f.isSet("rate") || f.isSet("sweep")) {
		return errors.New("--time-scale cannot be combined with --rate or --sweep: each says how fast the trace is played")
	}
	return b.load.check(f)
}

func (b *benchFlags) checkRates(f *flagSet) error {
	if b.sweep != "" && f.isSet("rate") {
		return errors.New("--rate cannot be combined with --sweep, which lists the rates")
	}
	if b.rounds < 1 || b.rounds > maxRounds {
		return fmt.Errorf("--rounds is %d: want 1 to %d", b.rounds, maxRounds)
	}
	switch {
	case b.sweep != "":
		for _, text := range strings.Split(b.sweep, ",") {
			rate, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				return fmt.Errorf("--sweep has %q: want rates with commas, such as 5,10,20", text)
			}
			if slices.Contains(b.rates, rate) {
				return fmt.Errorf("--sweep has %v twice", rate)
			}
			b.rates = append(b.rates, rate)
		}
	case f.isSet("rate") || b.load.file != "":
		b.rates = []float64{b.load.rate}
	default:
		b.rates = []float64{defaultBenchRate}
	}
	for _, rate := range b.rates {
		own := b.load.file != "" && !f.isSet("rate") && b.sweep == ""
		if !possibleRate(rate) && !own {
			return fmt.Errorf("cannot send %v requests a second: --rate and --sweep want more than 0, and at most a million", rate)
		}
	}
	return nil
}

func (b *benchFlags) checkOptions(*flagSet) error {
	o := &b.options
	o.API, o.Whole = loadgen.API(b.api), b.noSSE
	switch {
	case o.Workers == 0:
		return errors.New("--workers is 0: want at least 1")
	case o.MaxInFlight == 0:
		return errors.New("--max-in-flight is 0: want at least 1")
	case o.Timeout == 0:
		return errors.New("--timeout is 0s: want more than 0")
	case o.Model == "":
		return errors.New("--model is empty: want the name of a model that the target serves")
	}
	o.Header = make(http.Header)
	for _, header := range b.headers {
		name, value, ok := strings.Cut(header, ":")
		name, value = textproto.CanonicalMIMEHeaderKey(strings.TrimSpace(name)), strings.TrimSpace(value)
		if !ok || !isToken(name) || strings.ContainsAny(value, "\r\n\x00") {
			return fmt.Errorf("--header is %q: want NAME: VALUE", header)
		}
		if slices.Contains([]string{"Content-Length", "Transfer-Encoding", "Connection"}, name) {
			return fmt.Errorf("--header is %q: the generator sets %s itself", header, name)
		}
		o.Header.Add(name, value)
	}
	return o.Validate()
}

// isToken says whether text can be the name of a header.
func isToken(text string) bool {
	return text != "" && strings.IndexFunc(text, func(c rune) bool {
		return c <= ' ' || c >= 0x7f || strings.ContainsRune("\"(),/:;<=>?@[\\]{}", c)
	}) < 0
}

func (b *benchFlags) checkObjectives(*flagSet) error {
	for _, d := range []time.Duration{b.ttft, b.tpot, b.e2e} {
		if d < 0 {
			return fmt.Errorf("cannot want answers within %v: --ttft, --tpot and --e2e want 0 or more", d)
		}
	}
	if b.noSSE && (b.ttft > 0 || b.tpot > 0) {
		return errors.New("--ttft and --tpot cannot be combined with --no-stream, whose answers come in one piece: want --e2e")
	}
	return nil
}

func (b *benchFlags) objectives() report.Objectives {
	return report.Objectives{TTFT: b.ttft.Seconds(), TPOT: b.tpot.Seconds(), E2E: b.e2e.Seconds()}
}

func (b *benchFlags) checkTargets(f *flagSet) error {
	if f.isSet("compare") {
		if err := b.splitCompare(); err != nil {
			return err
		}
	}
	if len(b.policies) > 0 {
		return b.checkPolicies(f)
	}
	if err := withoutIts(f, "--compare POLICIES", "replicas", "profile", "engine-speed"); err != nil {
		return err
	}
	if len(b.targets) == 0 {
		b.targets = listFlag{loadgen.DefaultOptions.URL}
	}
	var names []string
	for i, target := range b.targets {
		name, url := splitTarget(target)
		if err := loadgen.CheckURL(url); err != nil {
			return fmt.Errorf("--target: %w", err)
		}
		switch {
		case name == "" && len(b.targets) > 1:
			return fmt.Errorf("--target is %q: with several targets each needs a name, as in NAME=%s", target, url)
		case name == report.Direct:
			return fmt.Errorf("--target is named %s, which is what --direct names its own: choose another name", name)
		case name == "":
			name = defaultTarget
		case slices.Contains(names, name):
			return fmt.Errorf("--target has the name %s twice", name)
		}
		names = append(names, name)
		b.targets[i] = name + "=" + url
	}
	if b.direct.set {
		if b.direct.url == "" {
			return errors.New("--direct needs a URL beside --target: --direct=http://127.0.0.1:9000")
		}
		if err := loadgen.CheckURL(b.direct.url); err != nil {
			return fmt.Errorf("--direct: %w", err)
		}
	}
	return b.checkPIDs(names)
}

// splitCompare takes the list of --compare apart: into policies, or targets.
func (b *benchFlags) splitCompare() error {
	var targets []string
	for _, item := range strings.Split(b.compare, ",") {
		item = strings.TrimSpace(item)
		if strings.ContainsAny(item, "=:/") {
			targets = append(targets, item)
			continue
		}
		if known := balancer.PolicyNames(); !slices.Contains(known, item) {
			return fmt.Errorf("--compare has %q: want some of %s, or targets as NAME=URL", item, strings.Join(known, ", "))
		}
		if slices.Contains(b.policies, item) {
			return fmt.Errorf("--compare has %s twice", item)
		}
		b.policies = append(b.policies, item)
	}
	if len(b.policies) > 0 && len(targets) > 0 {
		return fmt.Errorf("--compare has the policy %s and the target %s: want one kind or the other", b.policies[0], targets[0])
	}
	b.targets = append(b.targets, targets...)
	return nil
}

func (b *benchFlags) checkPolicies(f *flagSet) error {
	for _, name := range []string{"target", "target-pid"} {
		if f.isSet(name) {
			return fmt.Errorf("--%s cannot be combined with --compare POLICIES, which starts the targets itself", name)
		}
	}
	switch {
	case b.replicas < 1 || b.replicas > 1024:
		return fmt.Errorf("--replicas is %d: want 1 to 1024", b.replicas)
	case b.engineSpeed == 0:
		return errors.New("--engine-speed is 0: want more than 0")
	case b.direct.url != "":
		return errors.New("--direct takes no URL beside --compare POLICIES: a mock replica is used")
	}
	if err := b.mockOptions().Validate(); err != nil {
		return fmt.Errorf("--profile and --engine-speed: %w", err)
	}
	return nil
}

// splitTarget takes NAME=URL apart. A URL alone may have an equals sign after its scheme only.
func splitTarget(target string) (name, url string) {
	before, after, ok := strings.Cut(target, "=")
	if !ok || strings.Contains(before, ":") {
		return "", target
	}
	return before, after
}

func (b *benchFlags) checkPIDs(names []string) error {
	b.pids = make(map[string]int)
	for _, text := range b.targetPIDs {
		name, number, named := strings.Cut(text, "=")
		if !named {
			name, number = names[0], text
		}
		pid, err := strconv.Atoi(number)
		switch {
		case err != nil || pid < 1:
			return fmt.Errorf("--target-pid is %q: want [NAME=]PID", text)
		case !named && len(names) > 1:
			return fmt.Errorf("--target-pid is %q: with several targets it needs the name of one, as in %s=%d", text, names[0], pid)
		case !slices.Contains(append(names, report.Direct), name):
			return fmt.Errorf("--target-pid is %q: the targets are %s", text, strings.Join(names, ", "))
		case runtime.GOOS == "linux" && !processExists(pid):
			return fmt.Errorf("--target-pid is %q: there is no process %d", text, pid)
		}
		b.pids[name] = pid
	}
	return nil
}

func processExists(pid int) bool {
	_, err := os.Stat(fmt.Sprintf("/proc/%d/stat", pid))
	return err == nil
}
