package clients

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// curl runs curl. Where it is not installed the test is skipped, but never in CI.
func curl(t *testing.T, args ...string) (stdout string) {
	t.Helper()
	if _, err := exec.LookPath("curl"); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("curl is not installed")
		}
		t.Skip("curl is not installed")
	}
	cmd := exec.CommandContext(t.Context(), "curl", append([]string{"--silent", "--show-error", "--max-time", "10"}, args...)...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("curl: %v: %s", err, errs.String())
	}
	return out.String()
}

const question = `{"model": "llama-3-8b", "max_tokens": 5, "stream": STREAM, "messages": [{"role": "user", "content": "hello"}]}`

func TestCurl(t *testing.T) {
	s := start(t)
	whole, streamed := strings.Replace(question, "STREAM", "false", 1), strings.Replace(question, "STREAM", "true", 1)
	large := t.TempDir() + "/large.json"
	text := strings.Replace(whole, "hello", strings.Repeat("hello ", 50_000), 1)
	if err := os.WriteFile(large, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	url := s.url + "/v1/chat/completions"
	for _, tc := range []struct {
		name string
		args []string
		want []string
	}{
		{"whole", []string{url, "-d", whole}, []string{`"chat.completion"`, `"completion_tokens":5`}},
		{"streamed", []string{"-N", url, "-H", "Content-Type: application/json", "-d", streamed}, []string{`"chat.completion.chunk"`, "data: [DONE]"}},
		{"chunked upload", []string{url, "-H", "Transfer-Encoding: chunked", "-d", whole}, []string{`"completion_tokens":5`}},
		{"HTTP/1.0", []string{"-0", url, "-d", streamed}, []string{"data: [DONE]"}},
		{"large body, with Expect: 100-continue", []string{url, "-H", "Expect: 100-continue", "-H", "Content-Type: application/json", "-d", "@" + large}, []string{`"completion_tokens":5`}},
		{"head", []string{"-I", s.url + "/health"}, []string{"HTTP/1.1 200", "x-request-id: "}},
		{"request id", []string{"-i", url, "-H", "X-Request-Id: mine", "-d", whole}, []string{"x-request-id: mine"}},
		{"two on one connection", []string{url, url, "-d", whole}, []string{`"completion_tokens":5`}},
		{"unknown model", []string{"-i", url, "-d", strings.Replace(whole, "llama-3-8b", "none", 1)}, []string{"HTTP/1.1 404", "model_not_found"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got := curl(t, tc.args...)
			for _, want := range tc.want {
				if !strings.Contains(got, want) {
					t.Errorf("curl printed %.600q, want %q in it", got, want)
				}
			}
		})
	}
}
