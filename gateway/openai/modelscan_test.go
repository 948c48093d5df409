package openai

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

const formType = "multipart/form-data; boundary=XX"

// scanWhole scans a body that is there at once, to its end.
func scanWhole(contentType, body string) (s ModelScan, state State) {
	s.Reset([]byte(contentType))
	return s, s.Finish([]byte(body))
}

// scanSplit scans a body that arrives in pieces of step bytes, each time at another address.
func scanSplit(contentType, body string, step int) (s ModelScan, state State) {
	s.Reset([]byte(contentType))
	for n := step; n < len(body); n += step {
		if state = s.Scan([]byte(body[:n])); state != NeedMore {
			return s, state
		}
	}
	return s, s.Finish([]byte(body))
}

var scanTests = []struct {
	name, contentType, body string
	state                   State
	model                   string
}{
	{"first", "application/json", `{"model":"llama","messages":[]}`, Found, "llama"},
	{"last", "", `{"messages":[{"role":"user","content":"hi"}],"stream":true,"n":-1.5e3,"x":null , "model" : "llama" }`, Found, "llama"},
	{"whitespace", "", " \r\n\t{ \"model\"\n:\t\"llama\"", Found, "llama"},
	{"type does not matter", "application/x-www-form-urlencoded", `{"model":"llama"}`, Found, "llama"},
	{"empty", "", `{"model":""}`, Found, ""},
	{"first of two", "", `{"model":"a","model":"b"}`, Found, "a"},
	{"nested", "", `{"a":{"model":"x","b":[{"model":"y"}]},"model":"z"}`, Found, "z"},
	{"nested only", "", `{"a":{"model":"x"},"b":[{"model":"y"}]}`, Absent, ""},
	{"inside a string", "", `{"a":"\"model\":\"x\"","b":"model","c":"x\\","model":"z"}`, Found, "z"},
	{"brackets inside strings", "", `{"a":["}","]","{\"",{"b":"[\\"}],"model":"z"}`, Found, "z"},
	{"as a value", "", `{"a":"model","b":"x"}`, Absent, ""},
	{"escaped key", "", `{"\u006dodel":"a"}`, Found, "a"},
	{"wholly escaped key", "", `{"\u006D\u006f\u0064\u0065\u006C":"a"}`, Found, "a"},
	{"other escaped keys", "", `{"\u006dodels":"a","mo\\del":"b","\u006d\u006d":"c","mode\u":"d","\u00":"e"}`, Absent, ""},
	{"similar keys", "", `{"Model":"a","models":"b","mode":"c","model ":"d","":"e"}`, Absent, ""},
	{"escaped name", "", `{"model":"a\/b\"c\\\u00e9\ud83d\ude00\n"}`, Found, "a/b\"c\\é😀\n"},
	{"short escapes", "", `{"model":"\b\f\n\r\t\/\\"}`, Found, "\b\f\n\r\t/\\"},
	{"half surrogates", "", `{"model":"\ud83d\ud83d\ude00\ude00\ud83dx\ud83d\n"}`, Found, "\ufffd😀\ufffd\ufffdx\ufffd\n"},
	{"bytes beyond ASCII", "", "{\"model\":\"é\xff\"}", Found, "é\xff"},
	{"bad escape in name", "", `{"model":"a\x"}`, Invalid, ""},
	{"bad unicode escape in name", "", `{"model":"\u12g4"}`, Invalid, ""},
	{"short unicode escape in name", "", `{"model":"\u12"}`, Invalid, ""},
	{"digits that are not", "", "{\"model\":\"\\u\x10\x11\x12\x13\"}", Invalid, ""},
	{"control character in name", "", "{\"model\":\"a\nb\"}", Invalid, ""},
	{"null", "", `{"model":null,"model":"b"}`, Absent, ""},
	{"number", "", `{"model":1}`, Absent, ""},
	{"object", "", `{"model":{"model":"a"}}`, Absent, ""},
	{"empty object", "", `{}`, Absent, ""},
	{"no body", "application/json", ``, Absent, ""},
	{"blank body", "", " \n", Absent, ""},
	{"array", "", `[{"model":"a"}]`, Absent, ""},
	{"text", "text/plain", `model=a`, Absent, ""},
	{"cut in key", "", `{"mod`, Invalid, ""},
	{"cut in name", "", `{"model":"lla`, Invalid, ""},
	{"cut at escape", "", `{"model":"lla\"`, Invalid, ""},
	{"cut in nested", "", `{"a":[{"b":"`, Invalid, ""},
	{"no colon", "", `{"a" "b"}`, Invalid, ""},
	{"no key", "", `{:1}`, Invalid, ""},
	{"comma first", "", `{,"model":"a"}`, Invalid, ""},
	{"comma last", "", `{"a":1,}`, Invalid, ""},
	{"no comma", "", `{"a":"b""model":"c"}`, Invalid, ""},
	{"no comma after number", "", `{"a":1"model":"c"}`, Invalid, ""},
	{"no value", "", `{"a":}`, Invalid, ""},

	{"form", formType, "--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisper\r\n--XX--\r\n", Found, "whisper"},
	{"form, other parts first", formType, "--XX\r\nContent-Type: audio/wav\r\nContent-Disposition: form-data; name=\"file\"; filename=\"model\"\r\n\r\n" +
		"RIFF\r\n--X\r\n--\r\n--XY\r\n\r\n--XX\r\nContent-Type: text/plain\r\ncontent-disposition:form-data;NAME=model\r\n\r\nwhisper\r\n--XX--\r\n", Found, "whisper"},
	{"form, quoted pair and semicolons", formType, "--XX\r\nContent-Disposition: form-data; x=\"a;\\\"name=no\"; name=\"mo\\del\"\r\n\r\nw\r\n--XX--", Found, "w"},
	{"form, quoted boundary", `multipart/form-data; charset=utf-8; Boundary="X\X"`, "--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nw\r\n--XX--", Found, "w"},
	{"form, preamble and padding", formType, "hello\r\n--XX \t\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nw\r\n--XX--", Found, "w"},
	{"form, preamble like a boundary", formType, "--XXa\r\n--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nw\r\n--XX--", Invalid, ""},
	{"form, not the field", formType, "--XX\r\nContent-Disposition: form-data; name=\"models\"\r\n\r\nw\r\n--XX\r\n\r\nw\r\n--XX--", Absent, ""},
	{"form, a file", formType, "--XX\r\nContent-Disposition: form-data; name=\"model\"; filename=\"x\"\r\n\r\nw\r\n--XX--", Absent, ""},
	{"form, not form-data", formType, "--XX\r\nContent-Disposition: attachment; name=\"model\"\r\n\r\nw\r\n--XX--", Absent, ""},
	{"form, empty field", formType, "--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n\r\n--XX--", Found, ""},
	{"form, shared line end", formType, "--XX\r\nContent-Disposition: form-data; name=\"x\"\r\n\r\n--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nw\r\n--XX--", Found, "w"},
	{"form, field without end", formType, "--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n--XX--", Invalid, ""},
	{"form, no parts", formType, "--XX--\r\n", Absent, ""},
	{"form, JSON within", formType, "{\"model\":\"a\"}", Invalid, ""},
	{"form, cut", formType, "--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nwhisp", Invalid, ""},
	{"form, longest field", formType, "--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n" + strings.Repeat("m", 256) + "\r\n--XX--", Found, strings.Repeat("m", 256)},
	{"form, field too long", formType, "--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n" + strings.Repeat("m", 257) + "\r\n--XX--", Invalid, ""},
	{"form, headers too long", formType, "--XX\r\nX: " + strings.Repeat("m", 5000) + "\r\n\r\n\r\n--XX--", Invalid, ""},
	{"form without boundary", "multipart/form-data", `{"model":"a"}`, Found, "a"},
	{"form with too long a boundary", "multipart/form-data; boundary=" + strings.Repeat("b", 71), "--b", Absent, ""},
	{"form of another kind", "multipart/mixed; boundary=XX", "--XX\r\n", Absent, ""},
}

func TestModelScan(t *testing.T) {
	for _, tt := range scanTests {
		s, state := scanWhole(tt.contentType, tt.body)
		if state != tt.state {
			t.Errorf("%s: got state %d, want %d", tt.name, state, tt.state)
			continue
		}
		if state == Found {
			if got := string(s.Model([]byte(tt.body), nil)); got != tt.model {
				t.Errorf("%s: got %q, want %q", tt.name, got, tt.model)
			}
		}
		for step := 1; step <= min(len(tt.body), 40); step++ {
			split, splitState := scanSplit(tt.contentType, tt.body, step)
			if splitState != state || split.Start != s.Start || split.End != s.End {
				t.Errorf("%s: in pieces of %d: got state %d, %d to %d; want %d, %d to %d", tt.name, step, splitState, split.Start, split.End, state, s.Start, s.End)
				break
			}
		}
	}
}

func TestModelScanStopsEarly(t *testing.T) {
	var s ModelScan
	s.Reset(nil)
	if state := s.Scan([]byte(`{"model":"a`)); state != NeedMore {
		t.Fatalf("got state %d before the name's end", state)
	}
	if state := s.Scan([]byte(`{"model":"a"`)); state != Found {
		t.Fatalf("got state %d at the name's end", state)
	}
	if state := s.Scan([]byte(`{"model":"a",,,`)); state != Found {
		t.Errorf("got state %d after the name", state)
	}
	s.Reset(nil)
	if state := s.Scan([]byte(`{"x":1}`)); state != Absent {
		t.Errorf("got state %d after Reset", state)
	}
}

func TestModelAliasesBodyOrScratch(t *testing.T) {
	body, scratch := []byte(`{"model":"plain"}`), make([]byte, 0, 64)
	s, _ := scanWhole("", string(body))
	if got := s.Model(body, scratch); &got[0] != &body[s.Start] {
		t.Error("a name without escapes was copied")
	}
	body = []byte(`{"model":"es\u0063aped"}`)
	s, _ = scanWhole("", string(body))
	if got := s.Model(body, scratch); string(got) != "escaped" || &got[0] != &scratch[:1][0] {
		t.Errorf("got %q, in scratch: %v", got, &got[0] == &scratch[:1][0])
	}
}

func TestReplace(t *testing.T) {
	form := "--XX\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nold\r\n--XX--\r\n"
	tests := []struct{ contentType, body, model, want string }{
		{"", `{ "a" : 1, "model" : "old" ,"b":"old"}`, "newer", `{ "a" : 1, "model" : "newer" ,"b":"old"}`},
		{"", `{"model":"\u006fld"}`, "", `{"model":""}`},
		{"", `{"model":"old"}`, "a\"b\\c\n\x01é\xff", `{"model":"a\"b\\c\n\u0001é` + "\ufffd\"}"},
		{formType, form, `a"b`, strings.Replace(form, "old", `a"b`, 1)},
	}
	for _, tt := range tests {
		s, state := scanWhole(tt.contentType, tt.body)
		if state != Found {
			t.Fatalf("%q: got state %d", tt.body, state)
		}
		got := string(s.AppendReplaced([]byte("x"), []byte(tt.body), tt.model))
		if got != "x"+tt.want {
			t.Errorf("got %q, want %q", got, "x"+tt.want)
		}
		if delta := s.Delta(tt.model); len(tt.body)+delta != len(tt.want) {
			t.Errorf("%q: got delta %d, want %d", tt.want, delta, len(tt.want)-len(tt.body))
		}
	}
}

// firstModel is the oracle: the first value of the top-level key "model" of a valid object, as encoding/json reads it.
func firstModel(body []byte) (model string, state State) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.UseNumber() // numbers of any size are valid
	if token, _ := d.Token(); token != json.Delim('{') {
		return "", Absent
	}
	for d.More() {
		key, _ := d.Token()
		var value json.RawMessage
		d.Decode(&value)
		if key != "model" {
			continue
		}
		if value[0] != '"' || json.Unmarshal(value, &model) != nil {
			return "", Absent
		}
		return model, Found
	}
	return "", Absent
}

func FuzzModelScan(f *testing.F) {
	for i, tt := range scanTests {
		f.Add(tt.contentType, []byte(tt.body), uint8(i))
	}
	f.Fuzz(func(t *testing.T, contentType string, body []byte, step uint8) {
		s, state := scanWhole(contentType, string(body))
		split, splitState := scanSplit(contentType, string(body), int(step)+1)
		if splitState != state || split.Start != s.Start || split.End != s.End {
			t.Fatalf("whole: %d, %d to %d; split: %d, %d to %d", state, s.Start, s.End, splitState, split.Start, split.End)
		}
		if state == Found {
			replaced := s.AppendReplaced(nil, body, `x"y`)
			again, state := scanWhole(contentType, string(replaced))
			if state != Found || string(again.Model(replaced, nil)) != `x"y` {
				t.Fatalf("the replaced name is not found: %q", replaced)
			}
		}
		if s.delimiterLen > 0 || !json.Valid(body) {
			return
		}
		model, want := firstModel(body)
		if state != want {
			t.Fatalf("got state %d, want %d", state, want)
		}
		if state == Found && utf8.Valid(body) && string(s.Model(body, nil)) != model {
			t.Fatalf("got %q, want %q", s.Model(body, nil), model)
		}
	})
}
