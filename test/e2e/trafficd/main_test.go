package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/penstock/penstock/bench/mock"
	"github.com/penstock/penstock/test/e2e/traffic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestCommandLines(t *testing.T) {
	for args, want := range map[string]string{
		"":                                               "the target must be host:port",
		"--target a:1":                                   "the rate of one kind must be more than 0",
		"--target a:1 --unary x":                         `invalid value "x" for flag -unary`,
		"--target a:1 --unary 1 more":                    `"more" is not a flag`,
		"--target a:1 --sse 1 --tokens 5-":               "want one number or MIN-MAX, such as 8-64",
		"--target a:1 --sse 1 --tokens 0":                "they must be more",
		"--target a:1 --sse 1 --clients 0":               "they must be more",
		"--target a:1 --grpc 1 --tokens 9-3":             "cannot ask for 9 to 3 tokens",
		"--target a:1 --grpc-stream 1 --header x":        "want NAME=VALUE, such as x-canary=yes",
		"--target a:1 --grpc-stream 1 --users -1":        "cannot send for -1 users",
		"--target a:1 --unary 1 --header content-type=x": "cannot send the header",
	} {
		var stdout, stderr bytes.Buffer
		if code := run(t.Context(), strings.Fields(args), &stdout, &stderr); code != exitUsage || stdout.Len() > 0 || !strings.Contains(stderr.String(), want) {
			t.Errorf("trafficd %s: exit code %d, %q does not say %q", args, code, &stderr, want)
		}
	}
	f, _, ok := parse(strings.Fields("--target a:1 --grpc 2.5 --tokens 5 --header x-a=b=c --header x-a=d"), io.Discard)
	if !ok || f.options.Rates[traffic.GRPC] != 2.5 || f.options.MinTokens != 5 || f.options.MaxTokens != 5 || strings.Join(f.options.Header.Values("x-a"), " ") != "b=c d" {
		t.Errorf("options %+v", f)
	}
	var help bytes.Buffer
	if code := run(t.Context(), []string{"--help"}, io.Discard, &help); code != exitOK || !strings.Contains(help.String(), "streams of ModelStreamInfer a second") {
		t.Errorf("help: exit code %d, %q", code, &help)
	}
}

func TestTakenPort(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var stderr bytes.Buffer
	code := run(t.Context(), []string{"--target", "127.0.0.1:1", "--unary", "1", "--control", l.Addr().String()}, io.Discard, &stderr)
	if code != exitFailure || !strings.Contains(stderr.String(), "cannot open the control port") {
		t.Errorf("exit code %d, %q", code, &stderr)
	}
}

// TestRun sends, asks over the control, and reads the report that comes at the end.
func TestRun(t *testing.T) {
	s, err := mock.New(mock.Options{Instant: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Start(l); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var stdout bytes.Buffer
	said, stderr := io.Pipe()
	code := make(chan int, 1)
	go func() {
		code <- run(ctx, []string{"--target", l.Addr().String(), "--control", "127.0.0.1:0", "--start", "--unary", "100", "--grpc-stream", "100"}, &stdout, stderr)
		stderr.Close()
	}()
	line := make([]byte, 200)
	n, err := said.Read(line)
	url := regexp.MustCompile(`control at (http://\S+)`).FindSubmatch(line[:n])
	if err != nil || url == nil {
		t.Fatalf("it says %q, %v", line[:n], err)
	}
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	c := traffic.Remote{URL: string(url[1]), Client: &http.Client{Transport: transport}}
	for r := new(traffic.Report); r.Count(traffic.OK, traffic.Unary) < 3 || r.Count(traffic.OK, traffic.GRPCStream) < 3; {
		if r, err = c.Report(ctx); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	if got := <-code; got != exitOK {
		t.Errorf("exit code %d", got)
	}
	var r traffic.Report
	if err := json.Unmarshal(stdout.Bytes(), &r); err != nil || r.NotOK() != 0 || r.Count(traffic.OK) < 6 || r.Running || !r.Valid {
		t.Errorf("report %v, %s", err, &stdout)
	}
}
