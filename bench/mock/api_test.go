package mock

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
)

type usageJSON struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Total      int `json:"total_tokens"`
	Details    struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

type completionJSON struct {
	ID, Object, Model string
	Created           int64
	Choices           []struct {
		Index   int
		Text    string
		Message *struct{ Role, Content string }
		Delta   *struct{ Role, Content string }
		Reason  *string `json:"finish_reason"`
	}
	Usage *usageJSON
}

// events splits a stream into the data of its events.
func events(t *testing.T, body string) (list []string) {
	t.Helper()
	for block := range strings.SplitSeq(strings.TrimSuffix(body, "\n\n"), "\n\n") {
		data, ok := strings.CutPrefix(block[strings.LastIndexByte(block, '\n')+1:], "data: ")
		if !ok {
			t.Fatalf("event %q has no data", block)
		}
		list = append(list, data)
	}
	return list
}

func TestChatAnswersInOneBody(t *testing.T) {
	f := start(t, Options{})
	status, header, body := f.do("POST", chatPath, hello)
	if status != http.StatusOK || header.Get("x-mock-replica") != f.Addr() || header.Get("Content-Type") != "application/json" {
		t.Errorf("status %d, header %v", status, header)
	}
	var c completionJSON
	decode(t, body, &c)
	if c.Object != "chat.completion" || c.Model != "llama-3-8b" || !strings.HasPrefix(c.ID, "chatcmpl-") || c.Created == 0 || len(c.Choices) != 1 {
		t.Fatalf("answer %s", body)
	}
	m := c.Choices[0]
	if m.Message.Role != "assistant" || len(m.Message.Content) != 8*tokenBytes || *m.Reason != "length" {
		t.Errorf("choice %+v %+v", m, m.Message)
	}
	// One token for each message's role, the answer's included, and 11 bytes of text.
	if want := (usageJSON{Prompt: 5, Completion: 8, Total: 13}); *c.Usage != want {
		t.Errorf("usage %+v, want %+v", *c.Usage, want)
	}
}

func TestDefaultIs64Tokens(t *testing.T) {
	f := start(t, Options{})
	var c completionJSON
	f.post(chatPath, `{"model":"llama-3-8b","messages":[{"role":"user","content":"Hi"}]}`, &c)
	if c.Usage.Completion != 64 {
		t.Errorf("%d tokens, want 64", c.Usage.Completion)
	}
	f.post(chatPath, `{"model":"llama-3-8b","messages":[{"role":"user","content":"Hi"}],"max_completion_tokens":3,"max_tokens":9}`, &c)
	if c.Usage.Completion != 3 {
		t.Errorf("%d tokens, want max_completion_tokens", c.Usage.Completion)
	}
}

func TestStreamHasAChunkForEachToken(t *testing.T) {
	f := start(t, Options{})
	for name, c := range map[string]struct {
		path, body, object string
		role               bool
	}{
		"chat":        {chatPath, strings.Replace(stream8, `"stream":true`, `"stream":true,"stream_options":{"include_usage":true}`, 1), "chat.completion.chunk", true},
		"completions": {"/v1/completions", `{"model":"llama-3-8b","prompt":"Hello there","max_tokens":8,"stream":true,"stream_options":{"include_usage":true}}`, "text_completion", false},
	} {
		t.Run(name, func(t *testing.T) {
			status, header, body := f.do("POST", c.path, c.body)
			if status != http.StatusOK || !strings.HasPrefix(header.Get("Content-Type"), "text/event-stream") {
				t.Fatalf("status %d, header %v", status, header)
			}
			list := events(t, body)
			if list[len(list)-1] != "[DONE]" {
				t.Fatalf("the stream ends with %q", list[len(list)-1])
			}
			var chunks []completionJSON
			for _, data := range list[:len(list)-1] {
				var chunk completionJSON
				decode(t, data, &chunk)
				if chunk.Object != c.object || chunk.ID == "" || chunk.ID != chunkID(chunks, chunk.ID) {
					t.Fatalf("chunk %s", data)
				}
				chunks = append(chunks, chunk)
			}
			if c.role {
				if d := chunks[0].Choices[0].Delta; d.Role != "assistant" || d.Content != "" {
					t.Errorf("first chunk %+v", d)
				}
				chunks = chunks[1:]
			}
			last := chunks[len(chunks)-1]
			if len(last.Choices) != 0 || last.Usage == nil || last.Usage.Completion != 8 || last.Usage.Total != last.Usage.Prompt+8 {
				t.Errorf("usage chunk %+v", last)
			}
			chunks = chunks[:len(chunks)-1]
			if len(chunks) != 8 {
				t.Fatalf("%d token chunks, want 8", len(chunks))
			}
			for i, chunk := range chunks {
				text := chunk.Choices[0].Text
				if c.role {
					text = chunk.Choices[0].Delta.Content
				}
				if len(text) != tokenBytes || (chunk.Choices[0].Reason != nil) != (i == 7) || chunk.Usage != nil {
					t.Errorf("chunk %d: %+v", i, chunk)
				}
			}
		})
	}
}

func chunkID(before []completionJSON, id string) string {
	if len(before) > 0 {
		return before[0].ID
	}
	return id
}

func TestStreamWithoutUsageEndsWithTheLastToken(t *testing.T) {
	f := start(t, Options{})
	_, _, body := f.do("POST", chatPath, stream8)
	if list := events(t, body); len(list) != 10 {
		t.Errorf("%d events, want the role, 8 tokens and [DONE]", len(list))
	}
}

func TestNextTurnHitsThePrefixCache(t *testing.T) {
	f := start(t, Options{})
	system := `{"role":"system","content":"` + strings.Repeat("You are a careful assistant. ", 20) + `"}`
	var first, second, other completionJSON
	f.post(chatPath, `{"model":"llama-3-8b","max_tokens":100,"messages":[`+system+`,{"role":"user","content":"Who are you?"}]}`, &first)
	f.post(chatPath, `{"model":"llama-3-8b","max_tokens":1,"messages":[`+system+`,{"role":"user","content":"Who are you?"},{"role":"assistant","content":"`+
		first.Choices[0].Message.Content+`"},{"role":"user","content":"And I?"}]}`, &second)
	if first.Usage.Details.Cached != 0 {
		t.Errorf("%d tokens cached on an empty replica", first.Usage.Details.Cached)
	}
	// All full blocks of the first prompt and its answer, but for the answer's last token, which is never computed.
	want := (first.Usage.Prompt + 99) / 16 * 16
	if got := second.Usage.Details.Cached; got != want {
		t.Errorf("%d tokens cached in the second turn, want %d of %d", got, want, second.Usage.Prompt)
	}
	f.post(chatPath, `{"model":"llama-3-8b","max_tokens":1,"messages":[`+system+`,{"role":"user","content":"Something else"}]}`, &other)
	if got, want := other.Usage.Details.Cached, (1+145)/16*16; got != want {
		t.Errorf("%d tokens cached for a shared system prompt, want %d", got, want)
	}
}

func TestModelsDoNotShareAPrefix(t *testing.T) {
	f := start(t, Options{Models: []string{"a", "b"}})
	body := func(model string) string {
		return `{"model":"` + model + `","max_tokens":1,"prompt":"` + strings.Repeat("same ", 100) + `"}`
	}
	for _, step := range []struct {
		model string
		hit   bool
	}{{"a", false}, {"b", false}, {"a", true}, {"b", true}} {
		var c completionJSON
		f.post("/v1/completions", body(step.model), &c)
		if (c.Usage.Details.Cached > 0) != step.hit {
			t.Errorf("%s: %d tokens cached", step.model, c.Usage.Details.Cached)
		}
	}
}

func TestEqualPromptsGetEqualAnswers(t *testing.T) {
	a, b := start(t, Options{}), start(t, Options{Seed: 5})
	var one, two completionJSON
	a.post(chatPath, hello, &one)
	b.post(chatPath, hello, &two)
	if one.Choices[0].Message.Content != two.Choices[0].Message.Content {
		t.Errorf("%q and %q", one.Choices[0].Message.Content, two.Choices[0].Message.Content)
	}
}

func TestOtherAPIs(t *testing.T) {
	f := start(t, Options{})
	t.Run("embeddings", func(t *testing.T) {
		var e struct {
			Object string
			Data   []struct {
				Index     int
				Embedding []float64
			}
			Usage usageJSON
		}
		f.post("/v1/embeddings", `{"model":"llama-3-8b","input":["12345678","1234","1234"],"dimensions":8}`, &e)
		if e.Object != "list" || len(e.Data) != 3 || len(e.Data[2].Embedding) != 8 || e.Data[2].Index != 2 || e.Usage.Prompt != 4 {
			t.Errorf("answer %+v", e)
		}
		if e.Data[0].Embedding[0] == e.Data[1].Embedding[0] || e.Data[1].Embedding[0] != e.Data[2].Embedding[0] {
			t.Error("an embedding must depend on its text alone")
		}
		var b struct{ Data []struct{ Embedding string } }
		f.post("/v1/embeddings", `{"model":"llama-3-8b","input":[[1,2,3]],"encoding_format":"base64"}`, &b)
		if raw, err := base64.StdEncoding.DecodeString(b.Data[0].Embedding); err != nil || len(raw) != 4*defaultDimensions {
			t.Errorf("%d bytes, %v", len(raw), err)
		}
	})
	t.Run("responses", func(t *testing.T) {
		type response struct {
			Object, Status string
			Output         []struct {
				Content []struct{ Type, Text string }
			}
			Usage struct {
				Input  int `json:"input_tokens"`
				Output int `json:"output_tokens"`
			}
		}
		var r response
		f.post("/v1/responses", `{"model":"llama-3-8b","input":"12345678","max_output_tokens":4}`, &r)
		if r.Object != "response" || r.Status != "incomplete" || r.Output[0].Content[0].Type != "output_text" || len(r.Output[0].Content[0].Text) != 16 || r.Usage.Input != 4 || r.Usage.Output != 4 {
			t.Errorf("answer %+v", r)
		}
		_, _, body := f.do("POST", "/v1/responses", `{"model":"llama-3-8b","input":[{"role":"user","content":[{"type":"input_text","text":"12345678"}]}],"max_output_tokens":4,"stream":true}`)
		deltas := ""
		list := events(t, body)
		for i, data := range list {
			var e struct {
				Type     string
				Sequence int `json:"sequence_number"`
				Delta    string
				Response response
			}
			decode(t, data, &e)
			if e.Sequence != i || !strings.Contains(body, "event: "+e.Type+"\ndata: ") {
				t.Errorf("event %d: %s", i, data)
			}
			deltas += e.Delta
			if i == len(list)-1 && (e.Type != "response.incomplete" || e.Response.Output[0].Content[0].Text != deltas || e.Response.Usage.Input != 4) {
				t.Errorf("last event %s after %q", data, deltas)
			}
		}
		if deltas != r.Output[0].Content[0].Text {
			t.Errorf("streamed %q, whole %q", deltas, r.Output[0].Content[0].Text)
		}
	})
	t.Run("infer", func(t *testing.T) {
		var r struct {
			Model   string `json:"model_name"`
			ID      string
			Outputs []struct {
				Name, Datatype string
				Data           []string
			}
		}
		f.post("/v2/models/llama-3-8b/infer", `{"id":"7","parameters":{"max_tokens":3},"inputs":[{"name":"text_input","shape":[1],"datatype":"BYTES","data":["Hello"]},{"name":"n","shape":[2],"datatype":"INT32","data":[1,2]}]}`, &r)
		if r.Model != "llama-3-8b" || r.ID != "7" || r.Outputs[0].Datatype != "BYTES" || len(r.Outputs[0].Data[0]) != 12 {
			t.Errorf("answer %+v", r)
		}
	})
	t.Run("tokenize", func(t *testing.T) {
		var r struct {
			Count, Context int
			Tokens         []int
		}
		f.post("/tokenize", `{"prompt":"12345678901"}`, &r)
		if r.Count != 3 || len(r.Tokens) != 3 {
			t.Errorf("answer %+v", r)
		}
		f.post("/tokenize", `{"model":"llama-3-8b","messages":[{"role":"user","content":"1234"}]}`, &r)
		if r.Count != 3 {
			t.Errorf("answer %+v", r)
		}
	})
	t.Run("pages", func(t *testing.T) {
		for path, want := range map[string]string{
			"/v1/models": `"id":"llama-3-8b"`, "/health": "", "/v2": `"name"`, "/v2/health/live": "", "/v2/health/ready": "",
			"/v2/models/llama-3-8b": `"versions"`, "/v2/models/llama-3-8b/ready": "",
		} {
			if status, _, body := f.do("GET", path, ""); status != http.StatusOK || !strings.Contains(body, want) {
				t.Errorf("GET %s: %d %s", path, status, body)
			}
		}
	})
}

func TestBadRequestsSayWhatIsWrong(t *testing.T) {
	f := start(t, Options{MaxBodyBytes: 4096, KVTokens: 1000})
	for name, c := range map[string]struct {
		path, body string
		status     int
		want       string
	}{
		"unknown model":      {chatPath, `{"model":"gpt-9","messages":[{"role":"user","content":"x"}]}`, 404, "gpt-9"},
		"not JSON":           {chatPath, `{"model":`, 400, "unexpected end"},
		"wrong type":         {chatPath, `{"model":"llama-3-8b","messages":"x"}`, 400, "messages"},
		"wrong content":      {chatPath, `{"model":"llama-3-8b","messages":[{"role":"user","content":5}]}`, 400, "content"},
		"no messages":        {chatPath, `{"model":"llama-3-8b"}`, 400, "messages"},
		"no tokens":          {chatPath, `{"model":"llama-3-8b","max_tokens":0,"messages":[{"role":"user","content":"x"}]}`, 400, "max_tokens"},
		"many choices":       {chatPath, `{"model":"llama-3-8b","n":2,"messages":[{"role":"user","content":"x"}]}`, 400, "n must be 1"},
		"options, no stream": {chatPath, `{"model":"llama-3-8b","stream_options":{},"messages":[{"role":"user","content":"x"}]}`, 400, "stream_options"},
		"too long":           {chatPath, `{"model":"llama-3-8b","max_tokens":990,"messages":[{"role":"user","content":"x"}]}`, 400, "maximum context length is 992 tokens"},
		"huge output":        {chatPath, `{"model":"llama-3-8b","max_tokens":9223372036854775807,"messages":[{"role":"user","content":"x"}]}`, 400, "maximum context length"},
		"body too large":     {chatPath, `{"model":"` + strings.Repeat("x", 5000) + `"}`, 413, "4096"},
		"no prompt":          {"/v1/completions", `{"model":"llama-3-8b","prompt":null}`, 400, "prompt"},
		"two prompts":        {"/v1/completions", `{"model":"llama-3-8b","prompt":["a","b"]}`, 400, "got 2"},
		"no input":           {"/v1/embeddings", `{"model":"llama-3-8b","input":[]}`, 400, "not empty"},
		"bad format":         {"/v1/embeddings", `{"model":"llama-3-8b","input":"x","encoding_format":"hex"}`, 400, "base64"},
		"responses input":    {"/v1/responses", `{"model":"llama-3-8b","input":5}`, 400, "input"},
		"infer model":        {"/v2/models/x/infer", `{}`, 404, "`x`"},
		"infer input":        {"/v2/models/llama-3-8b/infer", `{"inputs":[{"name":"a"}]}`, 400, "inputs[0]"},
		"infer nothing":      {"/v2/models/llama-3-8b/infer", `{}`, 400, "inputs"},
		"tokenize":           {"/tokenize", `{}`, 400, "prompt"},
		"path":               {"/v1/nothing", `{}`, 404, "/v1/nothing"},
	} {
		t.Run(name, func(t *testing.T) {
			status, _, body := f.do("POST", c.path, c.body)
			var e struct {
				Error struct{ Message, Type string }
			}
			decode(t, body, &e)
			if status != c.status || !strings.Contains(e.Error.Message, c.want) || e.Error.Type == "" {
				t.Errorf("status %d: %s", status, body)
			}
		})
	}
	if s := f.State(); s.Engine.Running+s.Engine.Waiting+s.Engine.Arriving != 0 {
		t.Errorf("refused requests run: %+v", s.Engine)
	}
}
