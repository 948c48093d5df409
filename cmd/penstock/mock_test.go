package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"

	"github.com/penstock/penstock/bench/mock/inference"
)

func TestMockCommandLines(t *testing.T) {
	for args, want := range map[string]string{
		"--profile gpt-9":                      `cannot find profile "gpt-9": the profiles are llama3-8b-a100, llama3-8b-h100`,
		"--engine ollama":                      `cannot mimic engine "ollama": the engines are sglang, tensorrt-llm, tgi, triton, vllm`,
		"--replicas 0":                         `--replicas must be 1 to 1024`,
		"--speed 0":                            `--speed must be more than 0`,
		"--speed -2":                           `cannot run at speed -2`,
		"--speed NaN":                          `cannot run at speed NaN`,
		"--max-tokens 0":                       `--max-tokens must be at least 1`,
		"--idle-timeout 0s":                    `--idle-timeout must be more`,
		"--drain -1s":                          `--drain must be at least 0s`,
		"--load-time -1s":                      `cannot load a model for -1s`,
		"--label two,words:é":                  `cannot use the label "two,words:é"`,
		"--listen here":                        `--listen must be host:port`,
		"--listen :http":                       `the port must be a number from 0 to 65535`,
		"--listen :65530 --replicas 10":        `the last port would be beyond 65535`,
		"--model a,,b":                         `a model without a name`,
		"--max-num-seqs 9000":                  `cannot use a budget of 8192 tokens a step with 9000 sequences`,
		"--kv-tokens 1":                        `cannot use a KV cache of 1 tokens`,
		"more":                                 `"more" is not a flag`,
		"--listen 203.0.113.1:1 --instant=yes": `invalid boolean value "yes"`,
	} {
		var stdout, stderr bytes.Buffer
		code := mockCommand(t.Context(), strings.Fields(args), &stdout, &stderr)
		if code != exitUsage || stdout.Len() > 0 || !strings.Contains(stderr.String(), want) {
			t.Errorf("penstock mock %s: exit code %d, stdout %q, stderr %q does not say %q", args, code, &stdout, &stderr, want)
		}
	}
}

func TestMockReplicasTakeConsecutivePorts(t *testing.T) {
	for _, c := range []struct {
		listen   string
		replicas int
		want     []string
	}{
		{":9000", 1, []string{":9000"}},
		{":9000", 3, []string{":9000", ":9001", ":9002"}},
		{"[::1]:9000", 2, []string{"[::1]:9000", "[::1]:9001"}},
		{"localhost:0", 2, []string{"localhost:0", "localhost:0"}},
	} {
		got, err := (&mockFlags{listen: c.listen, replicas: c.replicas}).addresses()
		if err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s with %d replicas: %v, %v", c.listen, c.replicas, got, err)
		}
	}
}

func TestMockServesUntilItIsStopped(t *testing.T) {
	for _, mode := range []string{"--instant=true", "--speed=100"} {
		t.Run(mode, func(t *testing.T) {
			p := launch(t, "mock", "--listen", "127.0.0.1:0", "--replicas", "2", "--model", "a,b", "--model", "c", mode)
			p.stdout.await(t, `try: curl`)
			urls := regexp.MustCompile(`replica at (\S+)\n`).FindAllStringSubmatch(p.stdout.String(), -1)
			if len(urls) != 2 || urls[0][1] == urls[1][1] {
				t.Fatalf("two replicas wrote %q", p.stdout)
			}
			for _, url := range urls {
				r, err := http.Post(url[1]+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"a","messages":[{"role":"user","content":"Hello"}]}`))
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(r.Body)
				r.Body.Close()
				if err != nil || r.StatusCode != http.StatusOK || !strings.Contains(string(body), `"completion_tokens":64`) {
					t.Errorf("status %d, %v: %s", r.StatusCode, err, body)
				}
				if _, models := get(t, url[1]+"/v1/models"); !strings.Contains(models, `"c"`) {
					t.Errorf("models %s", models)
				}
			}
			http.DefaultClient.CloseIdleConnections()
			for _, url := range urls {
				inferOverGRPC(t, strings.TrimPrefix(url[1], "http://"))
			}
			p.cancel()
			if code := p.wait(t); code != exitOK {
				t.Errorf("exit code %d: %s", code, p.stderr)
			}
		})
	}
}

// A request that is underway when the process is told to stop ends as if nothing was, and then so does the process. A second signal does
// not wait.
func TestMockDrains(t *testing.T) {
	for _, c := range []struct {
		name, interval string
		again          bool
	}{{"to the end", "20ms", false}, {"a second signal", "1h", true}} {
		t.Run(c.name, func(t *testing.T) {
			p := launch(t, "mock", "--listen", "127.0.0.1:0", "--instant", "--label", "v2", "--drain", "1h")
			url := p.stdout.await(t, `replica at (\S+)\n`)[1]
			r, err := http.NewRequest(http.MethodPost, url+"/v1/chat/completions", strings.NewReader(`{"stream":true,"max_tokens":10}`))
			if err != nil {
				t.Fatal(err)
			}
			r.Header.Set("x-mock-interval", c.interval)
			w, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Body.Close()
			signalItself(t)
			p.stderr.await(t, `"msg":"draining: readiness is off","limit":"1h0m0s"`)
			if status, _ := get(t, url+"/health"); !c.again && status != http.StatusServiceUnavailable {
				t.Errorf("/health answers %d while the replica drains", status)
			}
			if c.again {
				signalItself(t)
			}
			body, err := io.ReadAll(w.Body)
			if cut := err != nil || !strings.HasSuffix(string(body), "[DONE]\n\n"); cut != c.again || w.Header.Get("x-mock-label") != "v2" {
				t.Errorf("the stream ended with %v: %v %s", err, w.Header, body)
			}
			if code := p.wait(t); code != exitOK || !strings.Contains(p.stderr.String(), fmt.Sprintf(`"cut":%d`, map[bool]int{false: 0, true: 1}[c.again])) {
				t.Errorf("exit code %d: %s", code, p.stderr)
			}
		})
	}
}

func signalItself(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

// inferOverGRPC checks the health of a model and asks it for an answer.
func inferOverGRPC(t *testing.T, address string) {
	t.Helper()
	c, err := grpc.NewClient("passthrough:///"+address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if r, err := healthpb.NewHealthClient(c).Check(t.Context(), &healthpb.HealthCheckRequest{Service: "c"}); err != nil || r.GetStatus() != healthpb.HealthCheckResponse_SERVING {
		t.Errorf("health %v, %v", r, err)
	}
	in := &inference.ModelInferRequest{ModelName: "c", Inputs: []*inference.ModelInferRequest_InferInputTensor{{
		Name: "text_input", Datatype: "BYTES", Shape: []int64{1}, Contents: &inference.InferTensorContents{BytesContents: [][]byte{[]byte("Hello")}},
	}}}
	var out inference.ModelInferResponse
	if err := c.Invoke(t.Context(), inference.ModelInferMethod, in, &out); err != nil || len(out.Text()) != 64*4 {
		t.Errorf("answer %v, %v", &out, err)
	}
}

func TestMockSaysThatAPortIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var stdout, stderr bytes.Buffer
	code := mockCommand(t.Context(), []string{"--listen", l.Addr().String()}, &stdout, &stderr)
	if code != exitFailure || !strings.Contains(stderr.String(), "cannot start replica 0") || stdout.Len() > 0 {
		t.Errorf("exit code %d, stdout %q, stderr %q", code, &stdout, &stderr)
	}
}

func TestMockHelpListsTheProfiles(t *testing.T) {
	var stderr bytes.Buffer
	if code := mockCommand(t.Context(), []string{"--help"}, io.Discard, &stderr); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	for _, want := range []string{"llama3-70b-tp8-h100", "--replicas N", "sglang", "x-mock-interval", "The default is :9000.", "gRPC"} {
		if !strings.Contains(stderr.String(), want) {
			t.Errorf("help does not say %q:\n%s", want, &stderr)
		}
	}
}
