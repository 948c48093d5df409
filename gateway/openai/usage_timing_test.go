package openai

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// chunk is a stream's event as vLLM sends it, about 200 bytes.
const chunk = `data: {"id":"chatcmpl-7d1f0c9b2e","object":"chat.completion.chunk","created":1760000000,"model":"llama-3-8b",` +
	`"choices":[{"index":0,"delta":{"content":" the"},"logprobs":null,"finish_reason":null}]}` + "\n\n"

const usageEvent = `data: {"id":"chatcmpl-7d1f0c9b2e","object":"chat.completion.chunk","created":1760000000,"model":"llama-3-8b",` +
	`"choices":[],"usage":{"prompt_tokens":1024,"total_tokens":1151,"completion_tokens":127,"prompt_tokens_details":{"cached_tokens":512}}}` + "\n\n"

// prose is text in which letters are about as frequent as in English.
func prose(n int) string {
	words := strings.Fields("the of and to in is you that it he was for on are as with his they I at be this have from or one had by " +
		"word but not what all were we when your can said there use an each which she do how their if will up other about out many " +
		"then them these so some her would make like him into time has look two more write go see number no way could people " +
		"language usage message general image\\n \\\"quoted\\\"")
	rng := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	for b.Len() < n {
		b.WriteString(words[rng.IntN(len(words))])
		b.WriteByte(' ')
	}
	return b.String()[:n]
}

func embeddings(n int) string {
	rng := rand.New(rand.NewPCG(3, 4))
	var b strings.Builder
	b.WriteString(`{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0`)
	for b.Len() < n {
		fmt.Fprintf(&b, ",%.8f", rng.Float64()-0.5)
	}
	return b.String() + `]}],"model":"e5","usage":{"prompt_tokens":8,"total_tokens":8}}`
}

func BenchmarkUsageScan(b *testing.B) {
	for _, c := range []struct {
		name     string
		streamed bool
		body     string
	}{
		{"chunk", true, chunk},
		{"chunk with null usage", true, strings.Replace(chunk, "}]}", `}],"usage":null}`, 1)},
		{"chunk with usage", true, usageEvent},
		{"100 chunks at once", true, strings.Repeat(chunk, 100)},
		{"text of 200 KB", false, `{"choices":[{"message":{"content":"` + prose(200_000) + `"}}]}`},
		{"embeddings of 200 KB", false, embeddings(200_000)},
	} {
		b.Run(c.name, func(b *testing.B) {
			var s UsageScan
			s.Reset(c.streamed)
			body := []byte(c.body)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				s.Feed(body)
			}
		})
	}
}
