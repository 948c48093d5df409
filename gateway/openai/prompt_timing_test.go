package openai

import (
	"fmt"
	"strings"
	"testing"
)

type promptCase struct{ name, path, body string }

func promptCases() []promptCase {
	var turns, tools, ids strings.Builder
	for turns.Len() < 200_000 {
		turns.WriteString(`{"role":"user","content":"` + prose(300) + `"},{"role":"assistant","content":"Certainly."},`)
	}
	for tools.Len() < 20_000 {
		tools.WriteString(`{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"}}}}},`)
	}
	for i := 0; ids.Len() < 200_000; i++ {
		fmt.Fprintf(&ids, "%d,", i*7919%128_000)
	}
	code := strings.Repeat(`\tif err != nil {\n\t\treturn fmt.Errorf(\"cannot read %q: %w\", name, err)\n\t}\n`, 2500)
	chat := func(messages string) string {
		return `{"messages":[` + messages + `{"role":"user","content":"hi"}],"model":"llama-3-8b","stream":true}`
	}
	user := func(content string) string { return chat(`{"role":"user","content":` + content + `},`) }
	return []promptCase{
		{"small", chatPath, chat("")},
		{"prose of 1 MiB", chatPath, user(`"` + prose(1<<20) + `"`)},
		{"system of 1 MiB", chatPath, chat(`{"role":"system","content":"` + prose(1<<20) + `"},`)},
		{"code of 200 KB", chatPath, user(`"` + code + `"`)},
		{"turns of 200 KB", chatPath, chat(turns.String())},
		{"tools of 20 KB", chatPath, `{"tools":[` + tools.String() + `{}],"messages":[{"role":"user","content":"hi"}]}`},
		{"token ids of 200 KB", "/v1/completions", `{"prompt":[` + ids.String() + `0]}`},
		{"image of 1 MiB", chatPath, user(`[{"type":"image_url","image_url":{"url":"data:image/png;base64,` + strings.Repeat("iVBORw0KGgo", 100_000) + `"}}]`)},
	}
}

func BenchmarkPromptScan(b *testing.B) {
	for _, c := range promptCases() {
		b.Run(c.name, func(b *testing.B) {
			path, body := []byte(c.path), []byte(c.body)
			var s PromptScan
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				s.Reset(path)
				if !s.Scan(body) {
					b.Fatal("the scan did not reach the end")
				}
				if s.Prompt(-1).Tokens == 0 {
					b.Fatal("no tokens")
				}
			}
		})
	}
}

func BenchmarkPromptScanInPieces(b *testing.B) {
	path, body := []byte(chatPath), []byte(promptCases()[4].body)
	var s PromptScan
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		s.Reset(path)
		for n := 1400; !s.Scan(body[:min(n, len(body))]); n += 1400 {
		}
	}
}

func TestPromptScanAllocatesNothing(t *testing.T) {
	for _, c := range promptCases() {
		path, body := []byte(c.path), []byte(c.body)
		var s PromptScan
		if n := testing.AllocsPerRun(20, func() {
			s.Reset(path)
			s.Scan(body[:len(body)/2])
			s.Prompt(int64(len(body)))
			s.Finish(body)
			s.Prompt(-1)
		}); n != 0 {
			t.Errorf("%s: %v allocations", c.name, n)
		}
	}
}
