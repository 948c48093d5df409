package openai

import (
	"bytes"
	"encoding/json"
	"testing"
)

// promptOracle reads a prompt as PromptScan does, but by decoding, and with all text in memory.
type promptOracle struct {
	api                           promptAPI
	all, ofSystem                 promptSize
	toolsText, instructionsText   int64
	leading, inSystem             bool
	system, talk                  []byte
	tools, instructions           uint64
	model, cacheSalt, cacheKeySum uint64
}

func (o *promptOracle) hash(p []byte) {
	switch {
	case !o.api.hasKeys():
	case o.inSystem:
		o.system = append(o.system, p...)
	default:
		o.talk = append(o.talk, p...)
	}
}

type rawField struct {
	name  string
	value json.RawMessage
}

// fields returns an object's fields in their order.
func fields(object []byte) (all []rawField) {
	d := json.NewDecoder(bytes.NewReader(object))
	d.Token()
	for d.More() {
		name, _ := d.Token()
		f := rawField{name: name.(string)}
		d.Decode(&f.value)
		all = append(all, f)
	}
	return all
}

func items(array []byte) (all []json.RawMessage) {
	json.Unmarshal(array, &all)
	return all
}

// content is what stands between a string's quotes.
func content(value []byte) []byte { return value[1 : len(value)-1] }

func (o *promptOracle) top(body []byte) {
	for _, f := range fields(body) {
		isString := f.value[0] == '"'
		switch kind := o.api.topField([]byte(f.name)); {
		case kind == isText:
			o.value(f.value, isText, false, 1)
			if isString && o.api == responsesAPI {
				o.all.messages++
			}
		case kind == isTools && (f.value[0] == '[' || f.value[0] == '{'):
			o.toolsText = int64(len(f.value))
			o.all.text += o.toolsText
			o.tools = hashOf(f.value)
		case kind == isInstructions && isString:
			o.instructionsText = int64(len(content(f.value)))
			o.all.text += o.instructionsText
			o.instructions = hashOf(content(f.value))
		case kind == isModelName && isString:
			o.model = hashOf(content(f.value))
		case kind == isCacheSalt && isString:
			o.cacheSalt = hashOf(content(f.value))
		case kind == isCacheKey && isString:
			o.cacheKeySum = hashOf(content(f.value))
		}
	}
}

// value reads a value that is text or media, depth objects and arrays down.
func (o *promptOracle) value(value []byte, kind promptKind, inMedia bool, depth int) {
	if kind == isMedia && !inMedia && (value[0] == '"' || value[0] == '{' || value[0] == '[') {
		o.all.medias++
	}
	switch value[0] {
	case '"':
		if kind == isText {
			o.all.text += int64(len(content(value)))
		}
		o.hash(content(value))
		o.hash(endOfString)
	case '[':
		all := items(value)
		if len(all) > 0 && kind == isText && all[0][0] >= '0' && all[0][0] <= '9' {
			o.all.ids += int64(len(all))
			o.hash(bytes.TrimLeft(value[1:len(value)-1], jsonSpace))
			return
		}
		for _, item := range all {
			if item[0] == '{' && depth == 1 && o.api.hasMessages() {
				o.message(item)
				continue
			}
			o.value(item, kind, kind == isMedia, depth+1)
		}
	case '{':
		o.object(value, kind == isMedia, depth+1)
	}
}

func (o *promptOracle) object(object []byte, inMedia bool, depth int) {
	for _, f := range fields(object) {
		kind := promptKindOf([]byte(f.name))
		if inMedia {
			kind = isMedia
		}
		if kind == isText || kind == isMedia {
			o.value(f.value, kind, inMedia, depth)
		}
	}
}

func (o *promptOracle) message(object []byte) {
	before := o.all
	o.all.messages++
	var roles [][]byte
	for _, f := range fields(object) {
		if f.name == "role" && f.value[0] == '"' {
			roles = append(roles, content(f.value))
		}
	}
	var role []byte
	if len(roles) > 0 {
		role = roles[len(roles)-1]
	}
	o.inSystem = o.leading && len(roles) > 0 && isSystemRole(roles[0])
	o.leading = o.inSystem
	o.object(object, false, 3)
	o.hash(endOfMessage)
	o.hash(role[:min(len(role), maxRole)])
	if o.inSystem {
		o.ofSystem.grow(before, o.all)
	}
	o.inSystem = false
}

// prompt returns what the scan is to find, but for the parameters.
func (o *promptOracle) prompt() (p Prompt) {
	p.Tokens = tokens(o.all.text, o.all.messages, o.all.medias, o.all.ids)
	if !o.api.hasKeys() {
		return p
	}
	seed := combine(o.model, o.cacheSalt)
	if o.cacheKeySum != 0 {
		p.CacheKey = combine(seed, o.cacheKeySum)
	}
	if len(o.system) > 0 || o.tools != 0 || o.instructions != 0 {
		seed = combine(combine(seed, hashOf(o.system)), combine(o.tools, o.instructions))
		p.System = seed
		p.SystemTokens = tokens(o.ofSystem.text+o.toolsText+o.instructionsText, o.ofSystem.messages, o.ofSystem.medias, o.ofSystem.ids)
	}
	for p.KeyCount < PromptKeys && PromptKeyBytes[p.KeyCount] <= int64(len(o.talk)) {
		p.Keys[p.KeyCount] = combine(seed, hashOf(o.talk[:PromptKeyBytes[p.KeyCount]]))
		p.KeyCount++
	}
	return p
}

// isFor reports whether the oracle and the scan are meant to agree on a body.
func isForOracle(body []byte) bool {
	switch {
	case !json.Valid(body), len(bytes.TrimLeft(body, jsonSpace)) == 0, bytes.TrimLeft(body, jsonSpace)[0] != '{':
		return false // the oracle decodes
	case bytes.Contains(body, []byte(`\`)):
		return false // names of fields that are written with escapes are not recognised
	case bytes.Count(body, []byte{'['})+bytes.Count(body, []byte{'{'}) >= maxPromptDepth:
		return false // depth is bounded
	}
	return true
}

// mixed reports whether an array of token ids has something else in it, at which the scan stops.
func mixed(value []byte) bool {
	switch value[0] {
	case '[':
		all := items(value)
		for _, item := range all {
			if isNumber := item[0] >= '0' && item[0] <= '9'; mixed(item) || !isNumber && all[0][0] >= '0' && all[0][0] <= '9' {
				return true
			}
		}
	case '{':
		for _, f := range fields(value) {
			if mixed(f.value) {
				return true
			}
		}
	}
	return false
}

// A prompt that is long enough for all keys has those that decoding finds, in whatever pieces it comes. The fuzzer's own bodies are short.
func TestAllKeysAreThoseOfDecoding(t *testing.T) {
	body := turns("be brief", text("question", 5000), text("answer", 120<<10), text("further", 200<<10))
	o := promptOracle{api: chatAPI, leading: true}
	o.top([]byte(body))
	want := o.prompt()
	want.Final = true
	if want.KeyCount != PromptKeys {
		t.Fatalf("decoding finds %d keys, want %d", want.KeyCount, PromptKeys)
	}
	for _, step := range []int{1400, 16 << 10, len(body)} {
		if got := scanPromptSplit(chatPath, body, step); got != want {
			t.Errorf("in pieces of %d it is %+v, decoding finds %+v", step, got, want)
		}
	}
}

// FuzzPrompt compares the scan with what decoding finds, and a body that arrives in pieces with one that is there at once, be it JSON or not.
func FuzzPrompt(f *testing.F) {
	for _, tt := range promptTests {
		f.Add(tt.path, []byte(tt.body), uint8(len(tt.body)))
	}
	f.Add(chatPath, []byte(turns(text("be brief", 2000), text("question", 3000), text("answer", 9000))), uint8(200))
	f.Add(chatPath, []byte(`{"messages":[{"content":[{"text":"`+text("first", 1500)+`"}],"role":"developer"},{"content":"`+text("x", 1500)+`"}],"cache_salt":"s"}`), uint8(31))
	f.Add(chatPath, []byte(`{"messages":[{"content":"a","role":"system"},{"role":"developer","content":[{"text":"b"},{"image_url":{"url":"c"}}]},{"role":"user","content":"d"},`+
		`{"role":"system","content":"e"}],"tools":[{"name":"f"}],"tools":[1]}`), uint8(9))
	f.Add("/v1/responses", []byte(`{"tools":[{"a":"]"}],"instructions":"x","prompt_cache_key":"k","input":[{"role":"system","role":"user","content":[["a"],{"image_url":["b",{"text":"c"}]}]}]}`), uint8(3))
	f.Fuzz(func(t *testing.T, path string, body []byte, step uint8) {
		whole := scanPrompt(path, string(body))
		if split := scanPromptSplit(path, string(body), int(step)+1); split != whole {
			t.Fatalf("in pieces of %d it is %+v, at once %+v", int(step)+1, split, whole)
		}
		api := promptAPIOf([]byte(path))
		body = bytes.Trim(body, jsonSpace)
		if api == noPromptAPI || !isForOracle(body) || mixed(body) {
			return
		}
		o := promptOracle{api: api, leading: true}
		o.top(body)
		want := o.prompt()
		want.MaxTokens, want.Stream, want.Final = whole.MaxTokens, whole.Stream, true
		if whole != want {
			t.Fatalf("the scan finds %+v, decoding %+v", whole, want)
		}
	})
}
