package openai

import (
	"bytes"
	"encoding/json"
	"strconv"
	"strings"
	"testing"
	"unsafe"
)

// usageOf feeds a response in pieces of step bytes.
func usageOf(streamed bool, body string, step int) (Usage, int64) {
	var s UsageScan
	s.Reset(streamed)
	for p := []byte(body); len(p) > 0; p = p[min(len(p), step):] {
		s.Feed(bytes.Clone(p[:min(len(p), step)]))
	}
	return s.Usage, s.Events
}

func known(prompt, completion, cached int64) Usage {
	return Usage{PromptTokens: prompt, CompletionTokens: completion, CachedTokens: cached, Known: true}
}

var usageTests = []struct {
	name, body string
	want       Usage
}{
	{"chat completion", `{"id":"x","choices":[{"message":{"content":"hi"}}],"usage":{"prompt_tokens":9,"completion_tokens":12,"total_tokens":21,` +
		`"prompt_tokens_details":{"audio_tokens":0,"cached_tokens":8},"completion_tokens_details":{"reasoning_tokens":3}}}`, known(9, 12, 8)},
	{"embeddings", `{"data":[{"embedding":[0.1]}],"usage":{"prompt_tokens":8,"total_tokens":8}}`, known(8, 0, 0)},
	{"responses", `{"type":"response.completed","response":{"usage":{"input_tokens":36,"input_tokens_details":{"cached_tokens":30},` +
		`"output_tokens":87,"output_tokens_details":{"reasoning_tokens":0},"total_tokens":123},"user":null,"metadata":{}}}`, known(36, 87, 30)},
	{"whitespace", "{ \"usage\"\r\n : \t{ \"prompt_tokens\" : 1 , \"completion_tokens\"\n:2\n} }", known(1, 2, 0)},
	{"null after the last", `{"usage":{"prompt_tokens":1}}{"usage":null}`, known(1, 0, 0)},
	{"last of two", `{"usage":{"prompt_tokens":1,"completion_tokens":1}} {"usage":{"completion_tokens":5}}`, known(0, 5, 0)},
	{"zero", `{"usage":{"prompt_tokens":0}}`, known(0, 0, 0)},
	{"null details", `{"usage":{"prompt_tokens":3,"prompt_tokens_details":null,"cached_tokens":9}}`, known(3, 0, 0)},
	{"counts elsewhere", `{"usage":{"a":{"prompt_tokens":5},"completion_tokens_details":{"cached_tokens":4},"b":[{"cached_tokens":3}],"prompt_tokens":1}}`, known(1, 0, 0)},
	{"strings as counts", `{"usage":{"prompt_tokens":"5","x":"completion_tokens","y":7}}`, Usage{}},
	{"no integers", `{"usage":{"prompt_tokens":-5,"completion_tokens":1.5,"prompt_tokens_details":{"cached_tokens":1e3}}}`, Usage{}},
	{"too large", `{"usage":{"prompt_tokens":99999999999999999999999,"completion_tokens":281474976710657}}`, Usage{}},
	{"largest", `{"usage":{"completion_tokens":281474976710656}}`, known(0, 1<<48, 0)},
	{"brackets in strings", `{"usage":{"x":"}\"}\\","prompt_tokens":4}}`, known(4, 0, 0)},
	{"empty", `{"usage":{}}`, Usage{}},
	{"null", `{"usage":null,"prompt_tokens":3}`, Usage{}},
	{"number", `{"usage":7}`, Usage{}},
	{"cut", `{"usage":{"prompt_tokens":7`, Usage{}},
	{"other keys", `{"usages":{"prompt_tokens":7},"my_usage":{"prompt_tokens":7},"Usage":{"prompt_tokens":7}}`, Usage{}},
	{"as a string", `{"a":"usage","b":["usage",{"prompt_tokens":7}]}`, Usage{}},
	{"in text", `{"content":"{\"usage\":{\"prompt_tokens\":7}} \"usage\": {","x":"\\\"usage\":{\"prompt_tokens\":7}"}`, Usage{}},
	{"key that ends so", `{"my\"usage":{"prompt_tokens":7}}`, Usage{}},
	{"text, then the key", `{"content":"\"usage\":{","usage":{"prompt_tokens":2}}`, known(2, 0, 0)},
	{"just short enough", `{"usage":{"x":"` + strings.Repeat("a", 2000) + `","prompt_tokens":2}}`, known(2, 0, 0)},
	{"too long", `{"usage":{"prompt_tokens":2,"x":"` + strings.Repeat("a", 2100) + `"}}`, Usage{}},
	{"too long, then the key", `{"usage":{"prompt_tokens":2,"x":"` + strings.Repeat("a", 2100) + `"},"y":{"usage":{"prompt_tokens":3}}}`, known(3, 0, 0)},
	{"too deep", `{"usage":{"x":` + strings.Repeat("[", 700) + strings.Repeat("]", 700) + `,"prompt_tokens":2}}`, known(2, 0, 0)},
}

func TestUsageScan(t *testing.T) {
	for _, tt := range usageTests {
		for step := 1; step <= len(tt.body); step++ {
			for _, streamed := range []bool{false, true} {
				body := tt.body
				if streamed {
					// In an event JSON has no line breaks.
					body = "data: " + strings.NewReplacer("\r", " ", "\n", " ").Replace(body) + "\n\ndata: [DONE]\n\n"
				}
				if got, _ := usageOf(streamed, body, step); got != tt.want {
					t.Fatalf("%s, streamed %v, in pieces of %d: got %+v, want %+v", tt.name, streamed, step, got, tt.want)
				}
			}
		}
	}
}

func TestUsageScanIsSmall(t *testing.T) {
	if size := unsafe.Sizeof(UsageScan{}); size > 256 {
		t.Errorf("a UsageScan has %d bytes, more than 256", size)
	}
}

func TestEvents(t *testing.T) {
	long := strings.Repeat("x", 40)
	tests := []struct {
		body string
		want int64
	}{
		{chunk, 1}, {chunk + chunk + usageEvent + "data: [DONE]\n\n", 3},
		{"data: [DONE]\n\n", 0}, {"data:[DONE]\r\n\r\n", 0}, {"data: [DONE]x\n\n", 1}, {"data: [DONE] \n\n", 1},
		{"data:a\n\ndata:  [DONE]\n\n", 2}, {"data: " + long + "\r\n\r\ndata: b\r\n\r\n", 2},
		{"data: a\ndata: b\n\n", 1}, {"data: a\ndata: [DONE]\n\n", 1}, {"data: [DONE]\n\ndata: a\n\n", 1},
		{": ping " + long + "\n\n", 0}, {"event: " + long + "\ndata: a\nid: 7\n\n", 1}, {"event: x\n\n", 0},
		{"\n\n\ndata: a\n\n\n\n", 1}, {"data: a", 0}, {"data: a\n", 0}, {"data: a\n\r", 0}, {"data", 0}, {"", 0}, {" data: a\n\n", 0},
		{"dat\n\n", 0}, {"data:\n\n", 1}, {"database: x\n\n", 0}, {"data: " + long + "\n" + long + "\n\n", 1},
		{"data: " + long + "\ndata: " + long + "\n\n" + "data: " + long + "\n\n", 2},
	}
	for _, tt := range tests {
		for step := 1; step <= len(tt.body)+1; step++ {
			if _, got := usageOf(true, tt.body, step); got != tt.want {
				t.Errorf("%q in pieces of %d: got %d events, want %d", tt.body, step, got, tt.want)
				break
			}
		}
		if _, got := usageOf(false, tt.body, 10); got != 0 {
			t.Errorf("%q: got %d events of a response that is no stream", tt.body, got)
		}
	}
}

// lastUsage is the oracle: the last object under a key "usage" of a valid document that has a known count, objects within usage
// objects left out.
func lastUsage(d *json.Decoder, last *Usage) {
	token, _ := d.Token()
	switch token {
	case json.Delim('['):
		for d.More() {
			lastUsage(d, last)
		}
		d.Token()
	case json.Delim('{'):
		for d.More() {
			key, _ := d.Token()
			if key != "usage" {
				lastUsage(d, last)
				continue
			}
			var value json.RawMessage
			d.Decode(&value)
			if value[0] == '{' {
				if u := oracleCount(value); u.Known {
					*last = u
				}
				continue
			}
			inner := json.NewDecoder(bytes.NewReader(value))
			inner.UseNumber()
			lastUsage(inner, last)
		}
		d.Token()
	}
}

func oracleCount(object json.RawMessage) (u Usage) {
	eachMember(object, func(key string, value json.RawMessage) {
		switch key {
		case "prompt_tokens", "input_tokens":
			oracleInteger(value, &u.PromptTokens, &u)
		case "completion_tokens", "output_tokens":
			oracleInteger(value, &u.CompletionTokens, &u)
		case "prompt_tokens_details", "input_tokens_details":
			if value[0] != '{' {
				return
			}
			eachMember(value, func(key string, value json.RawMessage) {
				if key == "cached_tokens" {
					oracleInteger(value, &u.CachedTokens, &u)
				}
			})
		}
	})
	return u
}

func eachMember(object json.RawMessage, f func(key string, value json.RawMessage)) {
	d := json.NewDecoder(bytes.NewReader(object))
	d.Token()
	for d.More() {
		key, _ := d.Token()
		var value json.RawMessage
		d.Decode(&value)
		f(key.(string), value)
	}
}

func oracleInteger(value json.RawMessage, to *int64, u *Usage) {
	if n, err := strconv.ParseUint(string(value), 10, 64); err == nil && n <= maxTokens {
		*to, u.Known = int64(n), true
	}
}

func FuzzUsageScan(f *testing.F) {
	for i, tt := range usageTests {
		f.Add([]byte(tt.body), uint8(i), i%2 == 0)
	}
	f.Add([]byte(chunk+usageEvent), uint8(3), true)
	f.Fuzz(func(t *testing.T, body []byte, step uint8, streamed bool) {
		whole, events := usageOf(streamed, string(body), len(body)+1)
		pieces, pieceEvents := usageOf(streamed, string(body), int(step)+1)
		if whole != pieces || events != pieceEvents {
			t.Fatalf("whole: %+v, %d events; in pieces: %+v, %d events", whole, events, pieces, pieceEvents)
		}
		if streamed || len(body) > maxUsage || !json.Valid(body) || bytes.Contains(body, []byte(`\u`)) {
			return
		}
		var want Usage
		d := json.NewDecoder(bytes.NewReader(body))
		d.UseNumber()
		lastUsage(d, &want)
		if whole != want {
			t.Fatalf("got %+v, want %+v", whole, want)
		}
	})
}

// FuzzUsageStream compares the scan of a stream of two documents with what encoding/json reads in them.
func FuzzUsageStream(f *testing.F) {
	for i, tt := range usageTests {
		f.Add([]byte(tt.body), []byte(`{"usage":null}`), uint8(i))
	}
	f.Fuzz(func(t *testing.T, one, two []byte, step uint8) {
		var stream strings.Builder
		var want Usage
		for _, document := range [][]byte{one, two} {
			var line bytes.Buffer
			if len(document) > maxUsage || bytes.Contains(document, []byte(`\u`)) || json.Compact(&line, document) != nil {
				return
			}
			stream.WriteString("data: " + line.String() + "\n\n")
			d := json.NewDecoder(&line)
			d.UseNumber()
			lastUsage(d, &want)
		}
		stream.WriteString("data: [DONE]\n\n")
		got, events := usageOf(true, stream.String(), int(step)+1)
		if got != want || events != 2 {
			t.Fatalf("got %+v and %d events, want %+v and 2:\n%s", got, events, want, stream.String())
		}
	})
}
