package loadgen

import (
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"

	"github.com/penstock/penstock/bench/report"
)

// cutReader reads a few bytes at a time.
type cutReader struct {
	text string
	next func() int
}

// Read reads as much as next says.
func (c *cutReader) Read(b []byte) (int, error) {
	if c.text == "" {
		return 0, io.EOF
	}
	n := copy(b, c.text[:min(len(c.text), c.next())])
	c.text = c.text[n:]
	return n, nil
}

func TestStreamsAreReadHoweverTheyAreCut(t *testing.T) {
	long := `{"choices":[{"delta":{"content":"` + strings.Repeat("long ", 5000) + `"}}]}`
	stream := ": a comment\n\nevent: x\r\ndata:" + roleEvent + "\r\n\r\n" + events(textEvent, long, textEvent, usageEvent, doneEvent)
	r := rand.New(rand.NewPCG(1, 2))
	for name, next := range map[string]func() int{"whole": func() int { return 1 << 20 }, "bytes": func() int { return 1 }, "any": func() int { return 1 + r.IntN(300) }} {
		a := answer{run: new(run), sample: new(report.Sample), measured: true}
		a.usage.Reset(true)
		buffer := make([]byte, 64)
		if err := a.readStream(&cutReader{stream, next}, &buffer); err != nil {
			t.Fatal(err)
		}
		if a.sample.Pieces != 3 || !a.done || a.refused || a.usage.Usage.CompletionTokens != 7 || len(buffer) != 64 {
			t.Errorf("%s: %d pieces, done %v, usage %+v", name, a.sample.Pieces, a.done, a.usage.Usage)
		}
	}
}

func TestWhatHasText(t *testing.T) {
	for event, want := range map[string]bool{
		roleEvent:  false,
		textEvent:  true,
		usageEvent: false,
		`{"choices": [{"index": 0, "delta": {"content": "spaced"}}]}`:                                   true,
		`{"choices": [{"index": 0, "delta": {"content": ""}}]}`:                                         false,
		`{"choices":[{"delta":{"content":null,"reasoning_content":"hm"}}]}`:                             true,
		`{"choices":[{"delta":{"reasoning":"hm","content":""}}]}`:                                       true,
		`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"arguments":"{\"a\""}}]}}]}`:        true,
		`{"choices":[{"delta":{"tool_calls":[{"index":0,"function":{"name":"f","arguments":""}}]}}]}`:   false,
		`{"choices":[{"index":0,"text":" word","finish_reason":null}]}`:                                 true,
		`{"choices":[{"index":0,"text":"","finish_reason":"stop"}]}`:                                    false,
		`{"choices":[{"delta":{},"finish_reason":"stop"}],"note":"say \"content\":\"x\" and \"text\""}`: false,
		`{"content"`: false, `{"content":`: false, `{"content":"`: false,
	} {
		if got := hasText([]byte(event)); got != want {
			t.Errorf("%s: %v", event, got)
		}
	}
}

func TestWholeAnswers(t *testing.T) {
	const body = `{"choices":[{"message":{"content":"hello"}}],"usage":{"prompt_tokens":3,"completion_tokens":4}}`
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		if strings.Contains(string(text), "stream") {
			t.Errorf("asked for %s", text)
		}
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, body)
	})
	r := mustRun(t, t.Context(), every(0, 3), Options{URL: url, Whole: true}).Result(report.Objectives{E2E: 60})
	if r.Completed != 3 || r.OutputTokens != 12 || r.TTFT.Count != 0 || r.TPOT.Count != 0 || r.E2E.Count != 3 || r.GoodputShare != 1 {
		t.Errorf("%+v", r)
	}
	short := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Content-Length", "200")
		io.WriteString(w, body)
	})
	if r = mustRun(t, t.Context(), every(0, 1), Options{URL: short, Whole: true}).Result(report.Objectives{}); r.Errors["truncated"] != 1 {
		t.Errorf("a body that ends early: %v", r.Errors)
	}
}

// FuzzStream feeds whatever a server may send, whole and byte by byte, which must come to the same.
func FuzzStream(f *testing.F) {
	f.Add(events(roleEvent, textEvent, usageEvent, doneEvent))
	f.Add("data:[DONE]")
	f.Add("data: {\"error\":1}\r\n\r\ndata: {\"text\" : \"x\"}\n")
	f.Fuzz(func(t *testing.T, stream string) {
		var seen [2]answer
		for i, n := range []int{1, 1 << 20} {
			a := &seen[i]
			a.run, a.sample = new(run), new(report.Sample)
			a.usage.Reset(true)
			buffer := make([]byte, 16)
			if err := a.readStream(&cutReader{stream, func() int { return n }}, &buffer); err != nil {
				t.Fatal(err)
			}
		}
		a, b := &seen[0], &seen[1]
		if a.done != b.done || a.refused != b.refused || a.sample.Pieces != b.sample.Pieces || a.usage.Usage != b.usage.Usage {
			t.Errorf("byte by byte %+v, %+v; whole %+v, %+v", a.sample, a.usage.Usage, b.sample, b.usage.Usage)
		}
	})
}
