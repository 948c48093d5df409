package openai

import (
	"fmt"
	"strings"
	"testing"
)

const chatPath = "/v1/chat/completions"

// scanPrompt scans a body that is there at once.
func scanPrompt(path, body string) Prompt {
	var s PromptScan
	s.Reset([]byte(path))
	s.Finish([]byte(body))
	return s.Prompt(int64(len(body)))
}

// scanPromptSplit scans a body that arrives in pieces of step bytes, each time at another address.
func scanPromptSplit(path, body string, step int) Prompt {
	var s PromptScan
	s.Reset([]byte(path))
	for n := step; n < len(body); n += step {
		s.Scan([]byte(body[:n]))
	}
	s.Finish([]byte(body))
	return s.Prompt(int64(len(body)))
}

// tokens is the documented estimate.
func tokens(textBytes, messages, medias, ids int64) int64 {
	return (textBytes+3)/4 + 4*messages + 765*medias + ids
}

var promptTests = []struct {
	name, path, body string
	tokens           int64
}{
	{"one message", chatPath, `{"model":"m","messages":[{"role":"user","content":"hello"}]}`, tokens(5, 1, 0, 0)},
	{"two messages", chatPath, `{"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hi"}],"model":"m"}`, tokens(10, 2, 0, 0)},
	{"content first", chatPath, `{"messages":[{"content":"be brief","role":"system"},{"content":"hi","role":"user"}]}`, tokens(10, 2, 0, 0)},
	{"whitespace", chatPath, " {\n \"messages\" : [ { \"role\" : \"user\" , \"content\" : \"hello\" } ] }\n", tokens(5, 1, 0, 0)},
	{"no content", chatPath, `{"messages":[{"role":"assistant","content":null,"tool_calls":[]}]}`, tokens(0, 1, 0, 0)},
	{"parts", chatPath, `{"messages":[{"role":"user","content":[{"type":"text","text":"abcd"},{"type":"text","text":"efgh"}]}]}`, tokens(8, 1, 0, 0)},
	{"escapes count as they stand", chatPath, `{"messages":[{"role":"user","content":"\"\\\u00e9\n"}]}`, tokens(12, 1, 0, 0)},
	{"tool calls", chatPath, `{"messages":[{"role":"assistant","tool_calls":[{"id":"call_1","type":"function","function":{"name":"go","arguments":"{\"a\":1}"}}]},` +
		`{"role":"tool","tool_call_id":"call_1","content":"done"}]}`, tokens(2+9+4, 2, 0, 0)},
	{"tools count as they stand", chatPath, `{"messages":[],"tools":[{"type":"function","function":{"name":"go"}}]}`, tokens(45, 0, 0, 0)},
	{"an image's address is no text", chatPath, `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA","detail":"high"}},` +
		`{"type":"text","text":"what?"}]}]}`, tokens(5, 1, 1, 0)},
	{"sound and file", chatPath, `{"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"AAAA","format":"wav"}},` +
		`{"type":"file","file":{"file_data":"data:","filename":"a.pdf"}}]}]}`, tokens(0, 1, 2, 0)},
	{"no media", chatPath, `{"messages":[{"role":"assistant","content":"x","audio":null,"refusal":null}]}`, tokens(1, 1, 0, 0)},
	{"what is no text", chatPath, `{"messages":[{"role":"user","content":"abcd","id":"id-of-some-length","cache_control":{"type":"ephemeral","text":"x"}}],"user":"somebody",` +
		`"stop":["a","b"],"response_format":{"type":"json_schema","text":"x"}}`, tokens(4, 1, 0, 0)},
	{"brackets in strings", chatPath, `{"metadata":{"a":"]}"},"messages":[{"role":"user","x":["}"],"content":"]}\""}]}`, tokens(4, 1, 0, 0)},
	{"messages elsewhere", chatPath, `{"prompt":"x","input":"y","metadata":{"messages":[{"content":"x"}]}}`, 0},

	{"completion", "/v1/completions", `{"model":"m","prompt":"abcdefgh"}`, tokens(8, 0, 0, 0)},
	{"several prompts", "/v1/completions", `{"prompt":["abcd","efgh"]}`, tokens(8, 0, 0, 0)},
	{"token ids", "/v1/completions", `{"prompt":[1, 22,333 ]}`, tokens(0, 0, 0, 3)},
	{"several prompts of token ids", "/v1/completions", `{"prompt":[[1,2],[3],[]]}`, tokens(0, 0, 0, 3)},
	{"no prompt", "/v1/completions", `{"prompt":[]}`, 0},

	{"response to a text", "/v1/responses", `{"input":"abcd","instructions":"be brief","model":"m"}`, tokens(12, 1, 0, 0)},
	{"response to messages", "/v1/responses", `{"input":[{"type":"message","role":"developer","content":"abcd"},{"role":"user","content":[{"type":"input_text","text":"efgh"},` +
		`{"type":"input_image","image_url":"https://a/b.png"}]},{"type":"function_call","call_id":"c","name":"go","arguments":"{}"},` +
		`{"type":"function_call_output","call_id":"c","output":"ijkl"}]}`, tokens(4+4+2+2+4, 4, 1, 0)},

	{"embedding", "/v1/embeddings", `{"input":"abcd","model":"m"}`, tokens(4, 0, 0, 0)},
	{"embeddings", "/v1/embeddings", `{"input":["abcd","efgh"]}`, tokens(8, 0, 0, 0)},
	{"embedding of token ids", "/v1/embeddings", `{"input":[1,2,3]}`, tokens(0, 0, 0, 3)},
	{"embedding of a conversation", "/v1/embeddings", `{"messages":[{"role":"user","content":"abcd"}]}`, tokens(4, 0, 0, 0)},

	{"empty", chatPath, ``, 0},
	{"no object", chatPath, `["messages"]`, 0},
	{"cut in a string", chatPath, `{"messages":[{"role":"user","content":"abcdef`, tokens(6, 1, 0, 0)},
	{"cut after a backslash", chatPath, `{"messages":[{"role":"user","content":"abc\`, tokens(4, 1, 0, 0)},
	{"stops at what is no JSON", chatPath, `{"messages":[{"role":"user","content":"abcd"}}],"tools":[1]}`, tokens(4, 1, 0, 0)},
	{"stops at a missing colon", chatPath, `{"messages" [{"role":"user","content":"abcd"}]}`, 0},
	{"stops at a missing comma", chatPath, `{"messages":[{"role":"user","content":"abcd"}{"content":"efgh"}]}`, tokens(4, 1, 0, 0)},
	{"stops at text among token ids", "/v1/completions", `{"prompt":[1,"x"]}`, tokens(0, 0, 0, 2)},
	{"stops at what follows the end", chatPath, `{"messages":[]} {"messages":[{"content":"abcd"}]}`, 0},
}

func TestPromptTokens(t *testing.T) {
	for _, tt := range promptTests {
		whole := scanPrompt(tt.path, tt.body)
		if whole.Tokens != tt.tokens {
			t.Errorf("%s: %d tokens, want %d", tt.name, whole.Tokens, tt.tokens)
		}
		for step := 1; step <= len(tt.body); step++ {
			if split := scanPromptSplit(tt.path, tt.body, step); split != whole {
				t.Errorf("%s: in pieces of %d it is %+v, want %+v", tt.name, step, split, whole)
				break
			}
		}
	}
}

// Text that is nested without end is skipped, not followed.
func TestPromptDepthIsBounded(t *testing.T) {
	const depth = 1000
	body := `{"messages":[{"role":"user","content":` + strings.Repeat("[", depth) + `"abcd"` + strings.Repeat("]", depth) + `},{"role":"user","content":"efgh"}]}`
	if got, want := scanPrompt(chatPath, body).Tokens, tokens(4, 2, 0, 0); got != want {
		t.Errorf("%d tokens, want %d: what is too deep does not count, and what follows does", got, want)
	}
}

func TestPromptPaths(t *testing.T) {
	tests := map[string]bool{
		"/v1/chat/completions": true, "/v1/completions?x=/models": true, "/openai/v1/responses": true, "/v1/embeddings": true, "/llama/chat/completions": true,
		"": false, "/": false, "/v1/models": false, "/v1/models?x=/completions": false, "/v1/audio/transcriptions": false, "/v1/completions/": false, "/v1/responses/resp_1": false,
	}
	for path, want := range tests {
		var s PromptScan
		if got := s.Reset([]byte(path)); got != want {
			t.Errorf("%q: %v, want %v", path, got, want)
		}
		body := []byte(`{"messages":[{"content":"x"}],"prompt":"x","input":"x","stream":true}`)
		if final := s.Scan(body); !want && (!final || s.Prompt(100) != Prompt{Final: true}) {
			t.Errorf("%q: something was found where there is no prompt: %+v", path, s.Prompt(100))
		}
	}
}

func TestPromptParameters(t *testing.T) {
	tests := []struct {
		body      string
		maxTokens int64
		stream    bool
	}{
		{`{}`, 0, false},
		{`{"max_tokens":16,"stream":true}`, 16, true},
		{`{"stream":false,"max_tokens" : 16 }`, 16, false},
		{`{"max_completion_tokens":32,"max_tokens":16}`, 32, false},
		{`{"max_tokens":16,"max_output_tokens":32}`, 32, false},
		{`{"max_tokens":null,"stream":null}`, 0, false},
		{`{"max_tokens":-1}`, 0, false},
		{`{"max_tokens":1e3}`, 0, false},
		{`{"max_tokens":12345678901234567890}`, 0, false},
		{`{"max_tokens":"16","stream":"true"}`, 0, false},
		{`{"messages":[{"max_tokens":16,"stream":true}]}`, 0, false},
	}
	for _, tt := range tests {
		p := scanPrompt(chatPath, tt.body)
		if p.MaxTokens != tt.maxTokens || p.Stream != tt.stream {
			t.Errorf("%s: %d and %v, want %d and %v", tt.body, p.MaxTokens, p.Stream, tt.maxTokens, tt.stream)
		}
	}
}

// An estimate may be asked for before the body has arrived, and says so.
func TestPromptBeforeTheEnd(t *testing.T) {
	body := `{"messages":[{"role":"user","content":"` + strings.Repeat("x", 4000) + `"}],"stream":true}`
	var s PromptScan
	s.Reset([]byte(chatPath))
	const arrived = 1000
	if s.Scan([]byte(body[:arrived])) {
		t.Error("a part was taken for the whole")
	}
	begin := int64(strings.Index(body, "x"))
	p := s.Prompt(-1)
	if want := tokens(arrived-begin, 1, 0, 0); p.Final || p.Tokens != want {
		t.Errorf("of unknown length: %d tokens, final %v; want %d, false", p.Tokens, p.Final, want)
	}
	p = s.Prompt(int64(len(body)))
	if want := tokens(int64(len(body))-begin, 1, 0, 0); p.Final || p.Tokens != want {
		t.Errorf("of known length: %d tokens, final %v; want %d, false", p.Tokens, p.Final, want)
	}
	if !s.Scan([]byte(body)) {
		t.Error("the whole was not recognised")
	}
	p = s.Prompt(-1)
	if want := tokens(4000, 1, 0, 0); !p.Final || p.Tokens != want || !p.Stream {
		t.Errorf("of the whole: %+v; want %d tokens, final and streamed", p, want)
	}
}

// turns writes a conversation as a client library does, with the system's message first.
func turns(system string, texts ...string) string {
	var b strings.Builder
	fmt.Fprintf(&b, `{"messages":[{"role":"system","content":%q}`, system)
	for i, text := range texts {
		fmt.Fprintf(&b, `,{"role":%q,"content":%q}`, []string{"user", "assistant"}[i%2], text)
	}
	return b.String() + `],"model":"m"}`
}

func text(seed string, n int) string {
	return strings.Repeat(seed+" ", n/(len(seed)+1)+1)[:n]
}

// A conversation's next request has the keys of its last one, and more.
func TestKeysGrowWithTheConversation(t *testing.T) {
	said := []string{text("question", 1500), text("answer", 700), text("further", 900), text("reply", 90_000), text("last", 180_000)}
	var last Prompt
	for n := 1; n <= len(said); n += 2 {
		p := scanPrompt(chatPath, turns("be brief", said[:n]...))
		if p.KeyCount < last.KeyCount || p.System != last.System && n > 1 {
			t.Fatalf("after %d turns there are %d keys where there were %d, or another system", n, p.KeyCount, last.KeyCount)
		}
		for i := range last.KeyCount {
			if p.Keys[i] != last.Keys[i] {
				t.Fatalf("after %d turns key %d has changed", n, i)
			}
		}
		last = p
	}
	if last.KeyCount != PromptKeys {
		t.Errorf("a conversation of 272 kB has %d keys, want %d", last.KeyCount, PromptKeys)
	}
}

func TestKeysStandForWholeBeginnings(t *testing.T) {
	// Each message is followed by the end of its string, of itself, and its role.
	const overhead = int64(len("\xfe\xffuser"))
	wantKeys := func(n int64, want int) {
		t.Helper()
		if p := scanPrompt(chatPath, turns("x", text("a", int(n)))); p.KeyCount != want {
			t.Errorf("a prompt of %d bytes has %d keys, want %d", n, p.KeyCount, want)
		}
	}
	wantKeys(0, 0)
	for i, n := range PromptKeyBytes {
		wantKeys(n-overhead-1, i)
		wantKeys(n-overhead, i+1)
	}
	wantKeys(1<<20, PromptKeys)
}

// What is waited for of a body is enough for the last key.
func TestPromptBodyBytesAreEnough(t *testing.T) {
	body := turns(text("be brief", 16<<10), text("question", 100<<10), text("answer", 100<<10), text("further", 200<<10))
	if p := scanPrompt(chatPath, body[:PromptBodyBytes]); p.KeyCount != PromptKeys {
		t.Errorf("the first %d bytes of a body have %d keys, want %d", PromptBodyBytes, p.KeyCount, PromptKeys)
	}
}

func TestSystemTokens(t *testing.T) {
	const tools = `[{"type":"function","function":{"name":"go"}}]`
	tests := []struct {
		name, path, body string
		want             int64
	}{
		{"none", chatPath, `{"messages":[{"role":"user","content":"hello"}]}`, 0},
		{"system", chatPath, `{"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hi"}]}`, tokens(8, 1, 0, 0)},
		{"content first", chatPath, `{"messages":[{"content":"be brief","role":"system"},{"content":"hi","role":"user"}]}`, tokens(8, 1, 0, 0)},
		{"two", chatPath, `{"messages":[{"role":"system","content":"be brief"},{"role":"developer","content":"and kind"},{"role":"user","content":"hi"}]}`, tokens(16, 2, 0, 0)},
		{"later ones", chatPath, `{"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hi"},{"role":"system","content":"and kind"}]}`, tokens(8, 1, 0, 0)},
		{"late ones alone", chatPath, `{"messages":[{"role":"user","content":"hi"},{"role":"system","content":"be brief"}]}`, 0},
		{"image", chatPath, `{"messages":[{"role":"system","content":[{"image_url":{"url":"abc"}},{"text":"abcd"}]}]}`, tokens(4, 1, 1, 0)},
		{"tools first", chatPath, `{"tools":` + tools + `,"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"hi"}]}`, tokens(8+int64(len(tools)), 1, 0, 0)},
		{"tools last", chatPath, `{"messages":[{"role":"user","content":"hi"}],"tools":` + tools + `}`, tokens(int64(len(tools)), 0, 0, 0)},
		{"instructions", "/v1/responses", `{"input":[{"role":"system","content":"abcd"},{"role":"user","content":"hi"}],"instructions":"be brief"}`, tokens(12, 1, 0, 0)},
		{"completion", "/v1/completions", `{"prompt":"abcd"}`, 0},
		{"embedding", "/v1/embeddings", `{"messages":[{"role":"system","content":"be brief"}]}`, 0},
		{"cut within", chatPath, `{"messages":[{"role":"system","content":"be bri`, tokens(6, 1, 0, 0)},
		{"cut before the role", chatPath, `{"messages":[{"role":"system","content":"be brief"},{"content":"and ki`, tokens(8, 1, 0, 0)},
	}
	for _, tt := range tests {
		p := scanPrompt(tt.path, tt.body)
		if p.SystemTokens != tt.want || (p.System != 0) != (tt.want > 0) {
			t.Errorf("%s: %d tokens of the system with the key %#x, want %d", tt.name, p.SystemTokens, p.System, tt.want)
		}
		if p.SystemTokens > p.Tokens {
			t.Errorf("%s: %d tokens of the system among %d", tt.name, p.SystemTokens, p.Tokens)
		}
	}
}

// What keys must and must not depend on.
func TestKeysTellPromptsApart(t *testing.T) {
	long, other := text("question", 3000), text("another", 3000)
	base := scanPrompt(chatPath, `{"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"`+long+`"}],"model":"m"}`)
	if base.KeyCount != 2 || base.System == 0 {
		t.Fatalf("%d keys and the system's %#x, want 2 and one", base.KeyCount, base.System)
	}
	same := map[string]string{
		"order of fields":           `{"model":"m","stream":true,"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"` + long + `"}]}`,
		"content before role":       `{"messages":[{"content":"be brief","role":"system"},{"content":"` + long + `","role":"user"}],"model":"m"}`,
		"whitespace":                `{"messages": [ {"role": "system", "content": "be brief"}, {"role": "user", "content": "` + long + `"} ], "model": "m"}`,
		"parts":                     `{"messages":[{"role":"system","content":[{"type":"text","text":"be brief"}]},{"role":"user","content":"` + long + `"}],"model":"m"}`,
		"ids and cache control":     `{"messages":[{"role":"system","content":"be brief"},{"id":"7","role":"user","content":[{"text":"` + long + `","cache_control":{"type":"x"}}]}],"model":"m"}`,
		"other parameters and user": `{"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"` + long + `"}],"model":"m","user":"u","temperature":0.5}`,
		"what comes later":          `{"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"` + long + `"},{"role":"user","content":"no"}],"model":"m"}`,
	}
	for name, body := range same {
		p := scanPrompt(chatPath, body)
		if p.System != base.System || p.KeyCount < 2 || p.Keys[0] != base.Keys[0] || p.Keys[1] != base.Keys[1] {
			t.Errorf("%s: keys differ", name)
		}
	}
	differ := map[string]string{
		"model":          `{"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"` + long + `"}],"model":"n"}`,
		"no model":       `{"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"` + long + `"}]}`,
		"cache salt":     `{"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"` + long + `"}],"model":"m","cache_salt":"s"}`,
		"system":         `{"messages":[{"role":"system","content":"be nice"},{"role":"user","content":"` + long + `"}],"model":"m"}`,
		"no system":      `{"messages":[{"role":"user","content":"` + long + `"}],"model":"m"}`,
		"role of system": `{"messages":[{"role":"developer","content":"be brief"},{"role":"user","content":"` + long + `"}],"model":"m"}`,
		"tools":          `{"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"` + long + `"}],"model":"m","tools":[{"type":"function"}]}`,
	}
	for name, body := range differ {
		p := scanPrompt(chatPath, body)
		if p.System == base.System || p.KeyCount != 2 || p.Keys[0] == base.Keys[0] || p.Keys[1] == base.Keys[1] {
			t.Errorf("%s: keys or the system's key do not differ", name)
		}
	}
	p := scanPrompt(chatPath, `{"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"`+other+`"}],"model":"m"}`)
	if p.System != base.System || p.Keys[0] == base.Keys[0] || p.Keys[1] == base.Keys[1] {
		t.Error("another question with the same system: only the question's keys are to differ")
	}
	p = scanPrompt(chatPath, `{"messages":[{"role":"system","content":"be brief"},{"role":"user","content":"`+long[:1500]+other+`"}],"model":"m"}`)
	if p.Keys[0] != base.Keys[0] || p.Keys[1] == base.Keys[1] {
		t.Error("a question that begins alike: only the first key is to be the same")
	}
}

// Where one string or message ends and another begins makes a difference.
func TestKeysSeeTheEndsOfStrings(t *testing.T) {
	fill := text("fill", 2000)
	bodies := []string{
		`{"messages":[{"role":"user","content":"ab"},{"role":"user","content":"c"},{"role":"user","content":"` + fill + `"}]}`,
		`{"messages":[{"role":"user","content":"a"},{"role":"user","content":"bc"},{"role":"user","content":"` + fill + `"}]}`,
		`{"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"bc"},{"role":"user","content":"` + fill + `"}]}`,
		`{"messages":[{"role":"user","content":[{"text":"a"},{"text":"bc"}]},{"role":"user","content":"` + fill + `"}]}`,
		`{"messages":[{"role":"user","content":"abc"},{"role":"user","content":"` + fill + `"}]}`,
		`{"messages":[{"role":"user","content":[{"image_url":{"url":"abc"}}]},{"role":"user","content":"` + fill + `x"}]}`,
	}
	seen := make(map[uint64]string)
	for _, body := range bodies {
		p := scanPrompt(chatPath, body)
		if first, ok := seen[p.Keys[0]]; ok && !strings.Contains(body, "image_url") {
			t.Errorf("these have the same key:\n%.120s\n%.120s", first, body)
		}
		seen[p.Keys[0]] = body
	}
}

// Only system messages before all others are the system's.
func TestSystemMessagesLead(t *testing.T) {
	first, second := text("first", 1200), text("second", 1200)
	two := scanPrompt(chatPath, `{"messages":[{"role":"system","content":"a"},{"content":"b","role":"developer"},{"role":"user","content":"`+first+`"}]}`)
	one := scanPrompt(chatPath, `{"messages":[{"role":"system","content":"a"},{"role":"user","content":"`+first+`"}]}`)
	late := scanPrompt(chatPath, `{"messages":[{"role":"system","content":"a"},{"role":"user","content":"`+first+`"},{"role":"system","content":"`+second+`"}]}`)
	if two.System == one.System || two.KeyCount != 1 || two.Keys[0] == one.Keys[0] {
		t.Error("a second system message does not count as the system's")
	}
	if late.System != one.System || late.Keys[0] != one.Keys[0] || late.KeyCount != 2 {
		t.Error("a later system message does not count as the conversation's")
	}
	none := scanPrompt(chatPath, `{"messages":[{"content":"`+first+`"},{"role":"system","content":"a"}]}`)
	if none.System != 0 || none.KeyCount != 1 {
		t.Errorf("a message without a role leads: system %#x and %d keys, want none and 1", none.System, none.KeyCount)
	}
	only := scanPrompt(chatPath, `{"messages":[{"role":"system","content":"`+first+`"}]}`)
	if only.System == 0 || only.KeyCount != 0 {
		t.Errorf("a system message alone: system %#x and %d keys, want one and none", only.System, only.KeyCount)
	}
}

func TestKeysOfOtherAPIs(t *testing.T) {
	long := text("text", 2500)
	p := scanPrompt("/v1/completions", `{"prompt":"`+long+`","model":"m"}`)
	if p.System != 0 || p.KeyCount != 2 {
		t.Errorf("a completion has %d keys and the system's %#x, want 2 and none", p.KeyCount, p.System)
	}
	ids := strings.TrimSuffix(strings.Repeat("12345,", 600), ",")
	if p := scanPrompt("/v1/completions", `{"prompt":[`+ids+`]}`); p.KeyCount != 3 {
		t.Errorf("3,599 bytes of token ids have %d keys, want 3", p.KeyCount)
	}
	before := scanPrompt("/v1/responses", `{"instructions":"be brief","input":"`+long+`"}`)
	after := scanPrompt("/v1/responses", `{"input":"`+long+`","instructions":"be brief"}`)
	if before != after || before.System == 0 || before.KeyCount != 2 {
		t.Errorf("instructions before and after the input: %+v and %+v", before, after)
	}
	if p := scanPrompt("/v1/embeddings", `{"input":"`+long+`","prompt_cache_key":"k"}`); p.KeyCount != 0 || p.System != 0 || p.CacheKey != 0 {
		t.Errorf("an embedding has keys: %+v", p)
	}
}

func TestCacheKey(t *testing.T) {
	of := func(fields string) uint64 { return scanPrompt(chatPath, `{"messages":[],`+fields+`}`).CacheKey }
	key := of(`"model":"m","prompt_cache_key":"k"`)
	if key == 0 || key != of(`"prompt_cache_key":"k","model":"m","user":"u"`) {
		t.Error("the same key and model do not give the same")
	}
	for _, fields := range []string{`"model":"m","prompt_cache_key":"l"`, `"model":"n","prompt_cache_key":"k"`, `"model":"m","prompt_cache_key":"k","cache_salt":"s"`} {
		if of(fields) == key {
			t.Errorf("%s has the same key", fields)
		}
	}
	for _, fields := range []string{`"model":"m"`, `"model":"m","prompt_cache_key":null`, `"model":"m","prompt_cache_key":{"a":"k"}`} {
		if of(fields) != 0 {
			t.Errorf("%s has a key", fields)
		}
	}
}

// While it is not known whose the first message is, there are no keys of it.
func TestNoKeysOfAnUndecidedMessage(t *testing.T) {
	body := `{"messages":[{"content":"` + text("first", 5000) + `","role":"`
	var s PromptScan
	s.Reset([]byte(chatPath))
	s.Scan([]byte(body))
	if p := s.Prompt(-1); p.KeyCount != 0 || p.System != 0 {
		t.Errorf("%d keys and the system's %#x, want none yet", p.KeyCount, p.System)
	}
	user, system := s, s
	user.Finish([]byte(body + `user"}]}`))
	system.Finish([]byte(body + `system"}]}`))
	if p := user.Prompt(-1); p.KeyCount != 4 || p.System != 0 {
		t.Errorf("a user's message: %d keys and the system's %#x, want 4 and none", p.KeyCount, p.System)
	}
	if p := system.Prompt(-1); p.KeyCount != 0 || p.System == 0 {
		t.Errorf("the system's message: %d keys and the system's %#x, want none and one", p.KeyCount, p.System)
	}
}
