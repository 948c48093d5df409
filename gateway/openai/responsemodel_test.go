package openai

import (
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestResponseModel(t *testing.T) {
	for _, c := range []struct{ name, body, want string }{
		{"a completion", `{"id":"chatcmpl-1","object":"chat.completion","model":"llama","choices":[{"message":{"content":"a"}}]}`, "llama"},
		{"an event", chunk, "llama-3-8b"},
		{"in a chunk", "1a3\r\n" + chunk, "llama-3-8b"},
		{"with spaces", "{ \"id\" : \"x\",\n  \"model\" :\n \"a/b:c\" }", "a/b:c"},
		{"the responses API", "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"r\",\"model\":\"gpt\"}}\n\n", "gpt"},
		{"Anthropic's API", "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"m\",\"model\":\"claude\",\"content\":[]}}\n\n", "claude"},
		{"an empty one first", `data: {"model":"","choices":[]}` + "\n\n" + chunk, "llama-3-8b"},
		{"after a vector", `{"object":"list","data":[{"embedding":[0.1,-2e3]}],"model":"e5"}`, "e5"},
		{"a value that is called so", `{"object":"model","id":"x"}`, ""},
		{"in what was generated", `{"choices":[{"message":{"content":"{\"model\":\"secret\"}","model":"secret"}}]}`, ""},
		{"in the arguments of a tool", `{"type":"message","content":[{"type":"tool_use","input":{"model":"secret"}}],"model":"claude"}`, "claude"},
		{"below another key", `{"metadata":{"model":"secret"}}`, ""},
		{"in a list", `[{"model":"secret"}]`, ""},
		{"no string", `{"model":{"name":"a"}}`, ""},
		{"with escapes", `{"model":"a\"b"}`, ""},
		{"cut off", `{"id":"x","model":"lla`, ""},
		{"cut by a chunk's frame", "{\"model\":\"lla\r\n5\r\nma\"}", ""},
		{"too far behind", `{"id":"` + strings.Repeat("x", responseModelBytes) + `","model":"llama"}`, ""},
		{"nothing", "", ""},
		{"no JSON", `"model":"a`, ""},
	} {
		if got := string(ResponseModel([]byte(c.body))); got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, got, c.want)
		}
	}
}

func TestResponseModelAllocatesNothing(t *testing.T) {
	body := []byte(chunk)
	if n := testing.AllocsPerRun(100, func() { ResponseModel(body) }); n != 0 {
		t.Errorf("it allocates %v times", n)
	}
}

// FuzzResponseModel holds it against encoding/json, for bodies that are one object.
func FuzzResponseModel(f *testing.F) {
	for _, s := range []string{`{"model":"a"}`, `{"a":[{"model":"b"}],"model":"c"}`, `{"response":{"model":"d"}}`, `{"message":[1],"model":"e"}`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		got := string(ResponseModel([]byte(s)))
		var whole map[string]json.RawMessage
		if got == "" || len(s) > responseModelBytes || !utf8.ValidString(s) || s[0] != '{' || json.Unmarshal([]byte(s), &whole) != nil {
			return
		}
		told := map[string]bool{}
		add := func(m map[string]json.RawMessage) {
			var name string
			if json.Unmarshal(m["model"], &name) == nil {
				told[name] = true
			}
		}
		add(whole)
		for _, key := range []string{"response", "message"} {
			var inner map[string]json.RawMessage
			if json.Unmarshal(whole[key], &inner) == nil {
				add(inner)
			}
		}
		// encoding/json keeps the last of keys that are there twice, so only what has one can be compared.
		if strings.Count(s, "model") == 1 && strings.Count(s, "message")+strings.Count(s, "response") < 2 && !told[got] {
			t.Fatalf("%q has the model %q, want one of %v", s, got, told)
		}
	})
}
