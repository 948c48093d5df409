package openai

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

type scanCase struct{ name, contentType, body string }

func scanCases() []scanCase {
	var turns, tokens strings.Builder
	for turns.Len() < 200_000 {
		turns.WriteString(`{"role":"user","content":"` + prose(300) + `"},{"role":"assistant","content":"Certainly."},`)
	}
	rng := rand.New(rand.NewPCG(5, 6))
	for tokens.Len() < 200_000 {
		fmt.Fprintf(&tokens, "%d,", rng.IntN(128_000))
	}
	noise := make([]byte, 1<<20)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	form := "--XX\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n" + string(noise) +
		"\r\n--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper-1\r\n--XX--\r\n"
	return []scanCase{
		{"model first", "application/json", `{"model":"llama-3-8b","messages":[{"role":"user","content":"hi"}],"stream":true}`},
		{"prompt of 200 KB first", "application/json", `{"prompt":"` + prose(200_000) + `","model":"llama-3-8b"}`},
		{"200 KB of turns first", "application/json", `{"messages":[` + turns.String() + `{}],"model":"llama-3-8b"}`},
		{"200 KB of tokens first", "application/json", `{"prompt":[` + tokens.String() + `0],"model":"llama-3-8b"}`},
		{"file of 1 MB first", formType, form},
	}
}

func BenchmarkModelScan(b *testing.B) {
	for _, c := range scanCases() {
		b.Run(c.name, func(b *testing.B) {
			contentType, body := []byte(c.contentType), []byte(c.body)
			var s ModelScan
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				s.Reset(contentType)
				if s.Scan(body) != Found {
					b.Fatal("no model was found")
				}
			}
		})
	}
}

func BenchmarkModelScanInPieces(b *testing.B) {
	body := []byte(scanCases()[2].body)
	var s ModelScan
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		s.Reset(nil)
		for n := 1400; s.Scan(body[:min(n, len(body))]) == NeedMore; n += 1400 {
		}
	}
}

// TestNothingAllocates holds for everything that is done to every request or response.
func TestNothingAllocates(t *testing.T) {
	none := func(what string, f func()) {
		t.Helper()
		if n := testing.AllocsPerRun(50, f); n != 0 {
			t.Errorf("%s: %v allocations", what, n)
		}
	}
	var s ModelScan
	for _, c := range scanCases() {
		contentType, body := []byte(c.contentType), []byte(c.body)
		none("scan of "+c.name, func() {
			s.Reset(contentType)
			s.Scan(body[:len(body)/2])
			s.Scan(body)
		})
	}
	body, scratch, dst := []byte(`{"\u006dodel":"a\u0062c"}`), make([]byte, 0, 64), make([]byte, 0, 128)
	none("name and replacement", func() {
		s.Reset(nil)
		if s.Scan(body) != Found || string(s.Model(body, scratch)) != "abc" || s.Delta("other") != -3 {
			t.Error("the name was not found")
		}
		dst = s.AppendReplaced(dst[:0], body, "other")
		dst = AppendError(dst[:0], 404, "model_not_found", "The model does not exist.", "model")
	})
	path := []byte("/v1/models/org/name:predict")
	none("name from a path", func() { ModelFromPath(path) })
	var u UsageScan
	for _, streamed := range []bool{true, false} {
		stream := bytes.Repeat([]byte(chunk+usageEvent+"data: [DONE]\n\n"), 3)
		none("usage", func() {
			u.Reset(streamed)
			for p := stream; len(p) > 0; p = p[min(len(p), 17):] {
				u.Feed(p[:min(len(p), 17)])
			}
		})
	}
}
