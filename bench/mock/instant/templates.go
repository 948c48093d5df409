package instant

import (
	"encoding/json"
	"fmt"
	"strconv"
)

// templates are the fixed parts of answers.
type templates struct {
	chat, completion shape
	embedding        []byte // whole body
	infer            []byte
}

// shape is how an API writes an answer. The text between the parts of a whole body is made of words.
type shape struct {
	role      []byte // the chunk that opens a stream; nil if there is none
	token     []byte // the chunk of a token
	last      []byte // the chunk of the last token
	usage     []byte // the usage chunk up to the usage
	open, mid []byte // a whole body up to its text, and from there to its usage
}

// word is the text of every token.
const word = "the "

var done = []byte("data: [DONE]\n\n")

func newTemplates(model string) *templates {
	name, err := json.Marshal(model)
	if err != nil {
		panic("BUG: cannot encode a model's name: " + err.Error())
	}
	make := func(id, chunkObject, object, role, open, middle, wholeOpen, wholeClose string) shape {
		head := func(object string) string {
			return fmt.Sprintf(`{"id":"%s-instant","object":"%s","created":1700000000,"model":%s,"choices":[`, id, object, name)
		}
		event := func(choice string) []byte { return []byte("data: " + head(chunkObject) + choice + "]}\n\n") }
		s := shape{
			token: event(open + word + middle + "null}"),
			last:  event(open + word + middle + `"length"}`),
			usage: []byte("data: " + head(chunkObject) + `],"usage":`),
			open:  []byte(head(object) + wholeOpen),
			mid:   []byte(wholeClose + `],"usage":`),
		}
		if role != "" {
			s.role = event(role)
		}
		return s
	}
	return &templates{
		chat: make("chatcmpl", "chat.completion.chunk", "chat.completion",
			`{"index":0,"delta":{"role":"assistant","content":""},"logprobs":null,"finish_reason":null}`,
			`{"index":0,"delta":{"content":"`, `"},"logprobs":null,"finish_reason":`,
			`{"index":0,"message":{"role":"assistant","content":"`, `","refusal":null},"logprobs":null,"finish_reason":"length"}`),
		completion: make("cmpl", "text_completion", "text_completion", "",
			`{"index":0,"text":"`, `","logprobs":null,"finish_reason":`,
			`{"index":0,"text":"`, `","logprobs":null,"finish_reason":"length"}`),
		embedding: fmt.Appendf(nil, `{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.5,-0.5,0.5,-0.5]}],"model":%s,"usage":{"prompt_tokens":1,"total_tokens":1}}`, name),
		infer:     fmt.Appendf(nil, `{"model_name":%s,"model_version":"1","outputs":[{"name":"text_output","datatype":"BYTES","shape":[1],"data":["%s"]}]}`, name, word),
	}
}

func appendUsage(b []byte, prompt, completion int) []byte {
	b = append(b, `{"prompt_tokens":`...)
	b = strconv.AppendInt(b, int64(prompt), 10)
	b = append(b, `,"completion_tokens":`...)
	b = strconv.AppendInt(b, int64(completion), 10)
	b = append(b, `,"total_tokens":`...)
	b = strconv.AppendInt(b, int64(prompt+completion), 10)
	return append(b, `,"prompt_tokens_details":{"cached_tokens":0}}`...)
}
