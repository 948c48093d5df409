package main

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/penstock/penstock/bench/loadgen"
	"github.com/penstock/penstock/bench/report"
)

func TestBenchCommandLines(t *testing.T) {
	for args, want := range map[string]string{
		"more":                                    `"more" is not a flag`,
		"--rate 0":                                `cannot send 0 requests a second: --rate and --sweep want more than 0`,
		"--rate NaN":                              `cannot send NaN requests a second`,
		"--rate 2e6":                              `at most a million`,
		"--rate 5 --sweep 5,10":                   `--rate cannot be combined with --sweep`,
		"--sweep 5,ten":                           `--sweep has "ten": want rates with commas`,
		"--sweep 5,-1":                            `cannot send -1 requests a second`,
		"--sweep 5,5":                             `--sweep has 5 twice`,
		"--rounds 0":                              `--rounds is 0: want 1 to 1000`,
		"--superpose 2":                           `--superpose has no meaning without --trace FILE`,
		"--time-scale 2":                          `--time-scale has no meaning without --trace FILE`,
		"--trace x --superpose 0":                 `--superpose is 0: want at least 1`,
		"--trace x --time-scale -1":               `--time-scale is -1: want more than 0`,
		"--trace x --time-scale 2 --rate 5":       `--time-scale cannot be combined with --rate`,
		"--trace x --workload no-reuse":           `--workload cannot be combined with --trace`,
		"--trace x --fixed":                       `--fixed cannot be combined with --trace`,
		"--trace x --prompt-tokens 5":             `--prompt-tokens has no meaning without --workload independent`,
		"--workload chatty":                       `--workload is "chatty": want one of independent, no-reuse, prefix-heavy`,
		"--workload no-reuse --output-tokens 5":   `--output-tokens has no meaning without --workload independent`,
		"--workload prefix-heavy --fixed":         `--fixed cannot be combined with --workload prefix-heavy`,
		"--prompt-tokens many":                    `--prompt-tokens is "many": want MEAN, MEAN:SPREAD or MEAN:SPREAD:MAX`,
		"--output-tokens 5:9":                     `--output-tokens is "5:9": want MEAN`,
		"--output-tokens 5:1:4":                   `--output-tokens is "5:1:4": want MEAN`,
		"--output-tokens 5:1:9:4":                 `--output-tokens is "5:1:9:4": want MEAN`,
		"--requests -1":                           `--requests is -1: want at most 10000000`,
		"--duration -1s":                          `--duration is -1s: want more than 0`,
		"--warmup -1s":                            `cannot warm up for -1s`,
		"--workers 0":                             `--workers is 0: want at least 1`,
		"--workers 1000":                          `cannot send with 1000 workers: it must be 1 to 256`,
		"--max-in-flight 0":                       `--max-in-flight is 0: want at least 1`,
		"--timeout 0s":                            `--timeout is 0s: want more than 0`,
		"--api images":                            `cannot use the API "images": it must be chat or completions`,
		"--model=":                                `--model is empty`,
		"--header x":                              `--header is "x": want NAME: VALUE`,
		"--header :x":                             `--header is ":x": want NAME: VALUE`,
		"--header Content-Length:5":               `the generator sets Content-Length itself`,
		"--target 127.0.0.1:9000":                 `--target: cannot send to "127.0.0.1:9000": a target is a URL such as http://127.0.0.1:8000`,
		"--target http://a/v1":                    `leave /v1 out`,
		"--target http://a --target http://b":     `with several targets each needs a name, as in NAME=http://a`,
		"--target x=http://a --target x=http://b": `--target has the name x twice`,
		"--target direct=http://a":                `--target is named direct`,
		"--direct":                                `--direct needs a URL beside --target`,
		"--direct=a":                              `--direct: cannot send to "a"`,
		"--target-pid x":                          `--target-pid is "x": want [NAME=]PID`,
		"--target-pid y=1":                        `--target-pid is "y=1": the targets are target`,
		"--target x=http://a --target y=http://b --target-pid 1": `it needs the name of one, as in x=1`,
		"--replicas 2":                         `--replicas has no meaning without --compare POLICIES`,
		"--engine-speed 2":                     `--engine-speed has no meaning without --compare POLICIES`,
		"--compare best":                       `--compare has "best": want some of `,
		"--compare=":                           `--compare has "": want some of `,
		"--compare random,random":              `--compare has random twice`,
		"--compare random,a=http://a":          `--compare has the policy random and the target a=http://a: want one kind or the other`,
		"--compare http://a,b=http://b":        `with several targets each needs a name, as in NAME=http://a`,
		"--compare a=http://a,a=http://b":      `--target has the name a twice`,
		"--compare a=http://a --replicas 2":    `--replicas has no meaning without --compare POLICIES`,
		"--compare random --target http://a":   `--target cannot be combined with --compare POLICIES`,
		"--compare random --replicas 0":        `--replicas is 0: want 1 to 1024`,
		"--compare random --engine-speed 0":    `--engine-speed is 0: want more than 0`,
		"--compare random --profile potato":    `cannot find profile "potato"`,
		"--compare random --direct=http://a":   `--direct takes no URL beside --compare POLICIES`,
		"--ttft -1s":                           `cannot want answers within -1s`,
		"--ttft 1s --no-stream":                `--ttft and --tpot cannot be combined with --no-stream`,
		"--target x=http://a?y=z --no-stream":  `has no query`,
		"--target http://a/?y=z --target-pid=": `has no query`,
	} {
		var stdout, stderr bytes.Buffer
		code := benchCommand(t.Context(), strings.Fields(args), &stdout, &stderr)
		if code != exitUsage || stdout.Len() > 0 || !strings.Contains(stderr.String(), want) {
			t.Errorf("penstock bench %s: exit code %d, stdout %q, stderr %q does not say %q", args, code, &stdout, &stderr, want)
		}
	}
}

func TestBenchFailsBeforeItSends(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"--rate 1000000 --duration 10000h":                     `more than a run can send`,
		"--rate 0.0001 --requests 1000000":                     `take more than three years`,
		"--rate 0.01 --duration 10ms --seed 3":                 `no request is due in the first 10ms`,
		"--rate 100 --duration 100ms --warmup 1s":              `--warmup of 1s leaves nothing to measure`,
		"--trace " + empty:                                     `empty`,
		"--trace " + empty + ".missing":                        `no such file`,
		"--json " + filepath.Join(empty, "x.json"):             `--json: open`,
		"--html " + filepath.Join(empty, "x.html"):             `--html: open`,
		"--target http://127.0.0.1:1 --requests 3 --rate 1000": `no request to http://127.0.0.1:1 was answered`,
	} {
		var stdout, stderr bytes.Buffer
		code := benchCommand(t.Context(), strings.Fields(args), &stdout, &stderr)
		if code != exitFailure || !strings.Contains(stderr.String(), want) {
			t.Errorf("penstock bench %s: exit code %d, stderr %q does not say %q", args, code, &stderr, want)
		}
	}
}

func TestBenchComparesPolicies(t *testing.T) {
	dir := t.TempDir()
	jsonFile, htmlFile := filepath.Join(dir, "r.json"), filepath.Join(dir, "r.html")
	var stdout, stderr bytes.Buffer
	args := "--compare least-outstanding,session --direct --replicas 2 --engine-speed 50 --workload prefix-heavy --sweep 100,50 --requests 20 --rounds 2 " +
		"--ttft 1s --tpot 60ms --json " + jsonFile + " --html " + htmlFile
	if code := run(t.Context(), append([]string{"bench"}, strings.Fields(args)...), &stdout, &stderr); code != exitOK {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	r := readReport(t, jsonFile)
	if len(r.Runs) != 2*2*3 || len(r.Groups) != 2*3 || len(r.Sweeps) != 3 || r.Objectives != (report.Objectives{TTFT: 1, TPOT: 0.06}) || r.CutShort {
		t.Errorf("%d runs, %d groups, %d sweeps, objectives %v", len(r.Runs), len(r.Groups), len(r.Sweeps), r.Objectives)
	}
	order := ""
	for _, x := range r.Runs {
		order += fmt.Sprintf("%s %g %d %d,", x.Target, x.Rate, x.Round, x.Seed)
		replicas := 2
		if x.Target == report.Direct {
			replicas = 1
		}
		if x.Result.Completed != 20 || x.Result.Failed != 0 || x.Result.OutputTokens == 0 || len(x.Result.Endpoints) > replicas || len(x.Result.Endpoints) == 0 {
			t.Errorf("%s: %+v", x.Target, x.Result)
		}
		if runtime.GOOS == "linux" && x.Result.CPU == nil {
			t.Error("the processor time is missing")
		}
	}
	want := "least-outstanding 100 1 1,session 100 1 1,direct 100 1 1,least-outstanding 100 2 2,session 100 2 2,direct 100 2 2," +
		"least-outstanding 50 1 1,session 50 1 1,direct 50 1 1,least-outstanding 50 2 2,session 50 2 2,direct 50 2 2,"
	if order != want {
		t.Errorf("the runs are %s", order)
	}
	for i, x := range r.Runs {
		if x.Target != report.Direct && x.Result.PromptTokens != r.Runs[i/3*3].Result.PromptTokens {
			t.Errorf("%s saw other requests than %s", x.Target, r.Runs[i/3*3].Target)
		}
	}
	if f, ok := r.Groups[1].Find("TTFT p50"); !ok || f.Ratio == nil || f.Added == nil {
		t.Errorf("TTFT of the second policy: %+v", f)
	}
	for _, want := range []string{"50 requests a second: medians of 2 rounds", "/ least-outstanding", "− direct", "session holds up to"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("the summary has no %q:\n%s", want, &stdout)
		}
	}
	page, err := os.ReadFile(htmlFile)
	if err != nil || !strings.Contains(string(page), "Goodput by load") || !strings.Contains(string(page), "penstock bench --compare") {
		t.Errorf("the page, %v: %s", err, page)
	}
}

func readReport(t *testing.T, path string) *report.Report {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := report.ReadJSON(f)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// answering is a model server that answers at once.
func answering(t *testing.T) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\ndata: {\"usage\":{\"prompt_tokens\":8,\"completion_tokens\":1}}\n\ndata: [DONE]\n\n")
	}))
	t.Cleanup(s.Close)
	return s
}

func TestBenchComparesTargets(t *testing.T) {
	for _, list := range []bool{false, true} {
		testBenchComparesTargets(t, list)
	}
}

// testBenchComparesTargets names the targets one by one, or in one list.
func testBenchComparesTargets(t *testing.T, list bool) {
	a, b := answering(t), answering(t)
	path := filepath.Join(t.TempDir(), "r.json")
	var stdout, stderr bytes.Buffer
	targets := fmt.Sprintf("--target one=%s --target two=%s", a.URL, b.URL)
	if list {
		targets = fmt.Sprintf("--compare one=%s,two=%s", a.URL, b.URL)
	}
	args := fmt.Sprintf("%s --target-pid two=%d --rounds 3 --rate 500 --fixed --requests 50 --prompt-tokens 10:1:20 --json %s", targets, os.Getpid(), path)
	if code := benchCommand(t.Context(), strings.Fields(args), &stdout, &stderr); code != exitOK {
		t.Fatalf("exit code %d: %s", code, &stderr)
	}
	r := readReport(t, path)
	order := ""
	for _, x := range r.Runs {
		order += x.Target + " "
		if x.Result.Completed != 50 || (x.Result.CPU != nil) != (x.Target == "two" && runtime.GOOS == "linux") {
			t.Errorf("%s: %+v", x.Target, x.Result)
		}
	}
	if order != "one two one two one two " || r.Load.Requests != 50 {
		t.Errorf("runs %s, load %+v", order, r.Load)
	}
}

func TestBenchPlaysATrace(t *testing.T) {
	s := answering(t)
	file := filepath.Join(t.TempDir(), "trace.csv")
	rows := "TIMESTAMP,ContextTokens,GeneratedTokens\n"
	for i := range 11 {
		rows += fmt.Sprintf("2023-11-16 18:15:%02d.0000000,%d,5\n", i, 100+i)
	}
	if err := os.WriteFile(file, []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]struct {
		requests int
		seconds  float64
	}{
		"--time-scale 100":               {11, 0.1},
		"--time-scale 100 --superpose 3": {33, 0.1},
		"--rate 110":                     {11, 0.1},
		"--rate 110 --requests 6":        {6, 0.05},
		"--rate 110 --duration 45ms":     {5, 0.04},
	} {
		path := filepath.Join(t.TempDir(), "r.json")
		var stdout, stderr bytes.Buffer
		if code := benchCommand(t.Context(), append(strings.Fields(args), "--trace", file, "--target", s.URL, "--json", path), &stdout, &stderr); code != exitOK {
			t.Fatalf("%s: exit code %d: %s", args, code, &stderr)
		}
		r := readReport(t, path)
		if r.Load.Requests != want.requests || r.Load.Seconds < want.seconds-1e-6 || r.Load.Seconds > want.seconds+1e-6 || r.Runs[0].Result.Completed != want.requests {
			t.Errorf("%s: load %+v, %d answers", args, r.Load, r.Runs[0].Result.Completed)
		}
	}
}

func TestBenchReportsWhatWasMeasuredUntilTheInterrupt(t *testing.T) {
	came := make(chan struct{}, 1000)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		came <- struct{}{}
		http.Error(w, "busy", http.StatusServiceUnavailable)
	}))
	defer s.Close()
	path := filepath.Join(t.TempDir(), "r.json")
	p := launch(t, "bench", "--target", s.URL, "--rate", "100", "--duration", "1h", "--rounds", "5", "--json", path)
	for range 3 {
		<-came
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(t); code != exitFailure || !strings.Contains(p.stderr.String(), "no request to "+s.URL+" was answered") {
		t.Errorf("exit code %d, stderr %q", code, p.stderr)
	}
	if !strings.Contains(p.stdout.String(), "CUT SHORT") || !strings.Contains(p.stdout.String(), "status-503") {
		t.Errorf("stdout %q", p.stdout)
	}
	if r := readReport(t, path); !r.CutShort || len(r.Runs) != 1 || !r.Runs[0].Result.CutShort || r.Runs[0].Result.Failed < 1 {
		t.Errorf("%+v", r)
	}
}

func TestBenchTellsHowFarItIs(t *testing.T) {
	var b bytes.Buffer
	p := newProgressLine(&b)
	p.begin("a at 10/s")
	p.show(loadgen.Progress{Elapsed: 10 * time.Second, Planned: 300, Sent: 100, Done: 90, Errors: 2, TTFTP50: 0.05, TTFTP99: 0.1})
	p.show(loadgen.Progress{Elapsed: 20 * time.Second, Planned: 300, Sent: 205, Done: 205, Errors: 2, Dropped: 1})
	p.end()
	want := "a at 10/s: 10 s, sent 100 of 300, done 90, in flight 10, errors 2, dropped 0, 10.0/s, TTFT p50 50.0 ms p99 100 ms\n" +
		"a at 10/s: 20 s, sent 205 of 300, done 205, in flight 0, errors 2, dropped 1, 10.5/s, TTFT p50 0 p99 0\n"
	if b.String() != want {
		t.Errorf("got %q", &b)
	}
	b.Reset()
	p.terminal = true
	p.show(loadgen.Progress{})
	p.end()
	if !regexp.MustCompile("^\r\x1b\\[K[^\n]*\n$").MatchString(b.String()) {
		t.Errorf("on a terminal: %q", &b)
	}
}

func TestCPUTime(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("processor time is read on Linux only")
	}
	if x, ok := cpuTime(os.Getpid()); !ok || x < 0 {
		t.Errorf("of this process: %v, %v", x, ok)
	}
	for _, pid := range []int{0, 1 << 30} {
		if x, ok := cpuTime(pid); ok {
			t.Errorf("of process %d: %v", pid, x)
		}
	}
}
