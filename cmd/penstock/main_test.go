package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	// os/signal keeps one goroutine for the process from the first Notify on.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("os/signal.signal_recv"), goleak.IgnoreTopFunction("os/signal.loop"))
}

// patience bounds how long a test waits for something that should happen at once.
const patience = 20 * time.Second

func TestCommandLines(t *testing.T) {
	good := write(t, "pools: {main: {endpoints: [\"http://127.0.0.1:1\", \"http://127.0.0.1:2\"]}}\n")
	bad := write(t, "listen: here\npools: {main: {endpoints: [\"127.0.0.1:1\"]}}\n")
	service := write(t, "pools: {main: {service: {namespace: models, name: llama}}}\n")
	listed := write(t, "endpoints: [\"http://127.0.0.1:1\"]")
	unlisted := write(t, "endpoints: [\"127.0.0.1:1\"]\npool: main")
	file := func(path string) string { return write(t, "pools: {main: {file: \""+path+"\"}}\n") }
	for _, c := range []struct {
		args   string
		code   int
		stdout string // regular expressions; empty is nothing at all
		stderr string
	}{
		{"", 2, "", `(?s)Usage: penstock SUBCOMMAND.*serve.*demo.*mock.*check.*version`},
		{"help", 0, `Usage: penstock SUBCOMMAND`, ""},
		{"--help", 0, `Usage: penstock SUBCOMMAND`, ""},
		{"sreve", 2, "", `there is no subcommand "sreve"`},
		{"version", 0, `(?s)^penstock .*go1\.`, ""},
		{"version now", 2, "", `"now" is not a flag`},
		{"check", 2, "", `give --config FILE`},
		{"check --config " + good, 0, `^ok: .* has 1 pool, 2 endpoints and 0 routes\n$`, ""},
		{"check --config " + bad, 1, "", `(?s)^[^\n]*:1:[^\n]*listen[^\n]*\n[^\n]*:2:[^\n]*write http://127.0.0.1:1[^\n]*\n$`},
		{"check --config " + service, 0, "has 1 pool, 0 endpoints", ""},
		{"check --config " + file(listed), 0, `^ok: .* has 1 pool, 1 endpoint and 0 routes\n$`, ""},
		{"check --config " + file(unlisted), 1, "", `(?s)^` + unlisted + `:1:13: endpoints\[0\]: [^\n]* write http://127.0.0.1:1\n[^\n]*:2:1: pool: is no known field; [^\n]*\n$`},
		{"check --config " + file(listed+".missing"), 0, `^ok: .* has 1 pool, 0 endpoints`, `^note: pool main has no endpoints as long as there is no file .*\.missing\n$`},
		{"check --config " + good + ".missing", 1, "", `cannot open configuration`},
		{"check --confg x", 2, "", `flag provided but not defined: -confg\nRun penstock check --help`},
		{"serve", 2, "", `there is nothing to serve: give --config FILE, or --backend URL`},
		{"serve --config " + good + " --backend http://127.0.0.1:1", 2, "", `--backend cannot be combined with --config: set it in the file's pools instead`},
		{"serve --config " + good + " --engine vllm", 2, "", `--engine cannot be combined with --config`},
		{"serve --config " + good + " --probe /health", 2, "", `--probe cannot be combined with --config`},
		{"serve --config " + bad, 1, "", `(?s)penstock serve: [^\n]*listen[^\n]*\npenstock serve: `},
		{"serve --config " + good + " --listen nowhere", 1, "", `penstock serve: listen: "nowhere" `},
		{"serve --config " + service, 1, "", `cannot watch the Kubernetes Service models/llama`},
		{"serve --backend 127.0.0.1:1", 1, "", `--backend: "127.0.0.1:1" has no scheme; write http://127.0.0.1:1`},
		{"serve --backend http://127.0.0.1:1 --service a/b", 1, "", `--service: stands beside --backend`},
		{"serve --service llama", 1, "", `"llama" has no namespace; want NAMESPACE/NAME`},
		{"serve --service models/llama", 1, "", `cannot watch the Kubernetes Service models/llama of pool default`},
		{"serve --backend http://127.0.0.1:1 --balance best", 1, "", `--balance: "best" `},
		{"serve --backend http://127.0.0.1:1 --engine v8", 1, "", `--engine: "v8" `},
		{"serve --backend http://127.0.0.1:1 --probe health", 1, "", `--probe: "health" `},
		{"serve --backend http://127.0.0.1:1 --probe grpc:", 1, "", `cannot read probe: "grpc:" names no service; want grpc`},
		{"serve --backend http://127.0.0.1:1 more", 2, "", `"more" is not a flag`},
		{"demo --replicas 0", 2, "", `--replicas is 0: want 1 to 64`},
		{"demo --profile potato", 2, "", `--profile: .*potato`},
		{"demo --listen nowhere", 1, "", `--listen: "nowhere" `},
	} {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), strings.Fields(c.args), &stdout, &stderr)
		if code != c.code {
			t.Errorf("penstock %s: exit code %d, want %d", c.args, code, c.code)
		}
		for name, text := range map[string]struct{ got, want string }{"stdout": {stdout.String(), c.stdout}, "stderr": {stderr.String(), c.stderr}} {
			if text.want == "" && text.got != "" || !regexp.MustCompile(text.want).MatchString(text.got) {
				t.Errorf("penstock %s: %s is %q, want %q", c.args, name, text.got, text.want)
			}
		}
	}
}

func TestEveryFlagIsExplainedInASentence(t *testing.T) {
	for _, c := range subcommands {
		var out bytes.Buffer
		if code := c.run(t.Context(), []string{"--help"}, io.Discard, &out); code != exitOK {
			t.Errorf("penstock %s --help: exit code %d", c.name, code)
		}
		blocks := strings.Split(out.String(), "\n\n  --")
		for _, block := range blocks[1:] {
			name, sentence, ok := strings.Cut(block, "\n      ")
			if sentence = strings.TrimSpace(sentence); !ok || !strings.HasSuffix(sentence, ".") || len(strings.Fields(sentence)) < 4 {
				t.Errorf("penstock %s --%s: %q is no sentence", c.name, name, sentence)
			}
		}
	}
}

// write writes a configuration file.
func write(t testing.TB, yaml string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "penstock.yaml")
	if err := os.WriteFile(path, []byte(yaml), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// process is a subcommand that runs on a goroutine of the test.
type process struct {
	stdout, stderr *output
	code           chan int
	cancel         context.CancelFunc
}

func launch(t testing.TB, args ...string) *process {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	p := &process{newOutput(), newOutput(), make(chan int, 1), cancel}
	go func() { p.code <- run(ctx, args, p.stdout, p.stderr) }()
	t.Cleanup(cancel)
	return p
}

// wait returns the exit code.
func (p *process) wait(t testing.TB) int {
	t.Helper()
	select {
	case code := <-p.code:
		return code
	case <-time.After(patience):
		t.Fatalf("the subcommand did not end; it said %q and %q", p.stdout, p.stderr)
	}
	panic("not reached")
}

// servedAt returns the addresses of a gateway's ports, which it logs.
func (p *process) servedAt(t testing.TB) (listen, admin string) {
	t.Helper()
	var line struct{ Listen, Admin string }
	if err := json.Unmarshal([]byte(p.stderr.await(t, `{.*"msg":"serving".*}`)[0]), &line); err != nil {
		t.Fatal(err)
	}
	return line.Listen, line.Admin
}

func get(t testing.TB, url string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestServeUntilSIGTERM(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }))
	defer backend.Close()
	file := write(t, fmt.Sprintf("listen: \":1\"\npools: {main: {endpoints: [\"%s\"]}}\nshutdown: {lameDuck: 0s}\n", backend.URL))
	p := launch(t, "serve", "--config", file, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	listen, admin := p.servedAt(t)
	if status, body := get(t, "http://"+listen+"/x"); status != 200 || body != "hello" {
		t.Errorf("got %d %q", status, body)
	}
	if status, _ := get(t, "http://"+admin+"/readyz"); status != 200 {
		t.Errorf("/readyz says %d", status)
	}
	p.stdout.await(t, `"msg":"request".*"path":"/x"`)
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if code := p.wait(t); code != exitOK {
		t.Errorf("exit code %d, stderr %q", code, p.stderr)
	}
}

func TestServeWithoutFile(t *testing.T) {
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "hello") }))
	defer backend.Close()
	p := launch(t, "serve", "--backend", backend.URL, "--probe", "/", "--balance", "round-robin", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0")
	_, admin := p.servedAt(t)
	p.stderr.await(t, "endpoint is healthy")
	_, effective := get(t, "http://"+admin+"/debug/config")
	if !strings.Contains(effective, "round-robin") || !strings.Contains(effective, "probe:") {
		t.Errorf("the effective configuration lacks what the flags say:\n%s", effective)
	}
	// The first signal begins the lame duck, of 5 s by default; the second one ends it.
	for i := range 2 {
		if err := syscall.Kill(os.Getpid(), syscall.SIGINT); err != nil {
			t.Fatal(err)
		}
		p.stderr.await(t, []string{"stopping: readiness is off", "second signal"}[i])
	}
	if code := p.wait(t); code != exitOK {
		t.Errorf("exit code %d: no request was cut; stderr %q", code, p.stderr)
	}
}

func TestTakenPortIsTold(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	p := launch(t, "serve", "--backend", "http://127.0.0.1:1", "--listen", taken.Addr().String(), "--admin", "127.0.0.1:0")
	if code := p.wait(t); code != exitFailure || !strings.Contains(p.stderr.String(), "penstock serve: cannot open the traffic port: cannot listen on "+taken.Addr().String()) {
		t.Errorf("serve: exit code %d, stderr %q", code, p.stderr)
	}
	p = launch(t, "demo", "--listen", taken.Addr().String(), "--admin", "127.0.0.1:0")
	if code := p.wait(t); code != exitFailure || !strings.Contains(p.stderr.String(), "choose free ports with --listen 127.0.0.1:0") {
		t.Errorf("demo: exit code %d, stderr %q", code, p.stderr)
	}
}
