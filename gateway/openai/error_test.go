package openai

import (
	"encoding/json"
	"testing"
)

// officialError is the shape that OpenAI's client libraries decode.
type officialError struct {
	Error struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    *string `json:"code"`
	} `json:"error"`
}

func TestAppendError(t *testing.T) {
	message := "model \"x\\y\"\n\x00 does not exist \xff é"
	var e officialError
	if err := json.Unmarshal(AppendError(nil, 404, "model_not_found", message, "model"), &e); err != nil {
		t.Fatalf("cannot decode the body: %v", err)
	}
	want := "model \"x\\y\"\n\x00 does not exist \ufffd é"
	if e.Error.Message != want || *e.Error.Code != "model_not_found" || *e.Error.Param != "model" || e.Error.Type != "invalid_request_error" {
		t.Errorf("got %+v", e.Error)
	}
	plain := `HTTP{"error":{"message":"busy","type":"server_error","param":null,"code":null}}`
	if got := string(AppendError([]byte("HTTP"), 503, "", "busy", "")); got != plain {
		t.Errorf("got %s, want %s", got, plain)
	}
	for status, want := range map[int]string{
		400: "invalid_request_error", 401: "invalid_request_error", 404: "invalid_request_error", 413: "invalid_request_error",
		429: "rate_limit_error", 500: "server_error", 502: "server_error", 503: "server_error", 504: "server_error",
	} {
		if got := errorType(status); got != want {
			t.Errorf("status %d: got type %s, want %s", status, got, want)
		}
	}
}

// FuzzEscaped checks that every string comes back from JSON, and that the package reads what it writes.
func FuzzEscaped(f *testing.F) {
	for _, s := range []string{"", "plain", `a"b\c`, "\x00\x1f\x7f\n", "é😀\ufffd", "\xff\xed\xa0\x80"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		want := string([]rune(s)) // with U+FFFD for what is not UTF-8
		escaped := Escaped(s)
		var got string
		if err := json.Unmarshal([]byte(`"`+escaped+`"`), &got); err != nil {
			t.Fatalf("cannot decode %q: %v", escaped, err)
		}
		if got != want {
			t.Errorf("%q came back as %q", s, got)
		}
		if _, valid := checkString([]byte(escaped)); !valid || string(appendUnescaped(nil, []byte(escaped))) != want {
			t.Errorf("%q was unescaped to %q", escaped, appendUnescaped(nil, []byte(escaped)))
		}
	})
}

// FuzzAppendError checks that every error body is JSON whose fields read back.
func FuzzAppendError(f *testing.F) {
	f.Add(404, "model_not_found", "model \"x\" is not served", "model")
	f.Add(503, "", "", "")
	f.Add(-1, "\xff", "a\\\x00\n", "\u2028")
	f.Fuzz(func(t *testing.T, status int, code, message, param string) {
		body := AppendError([]byte("HTTP"), status, code, message, param)
		var e officialError
		if err := json.Unmarshal(body[len("HTTP"):], &e); err != nil {
			t.Fatalf("cannot decode %q: %v", body, err)
		}
		if want := string([]rune(message)); e.Error.Message != want {
			t.Errorf("got message %q, want %q", e.Error.Message, want)
		}
		for _, c := range []struct {
			got  *string
			want string
		}{{e.Error.Code, code}, {e.Error.Param, param}} {
			if (c.got == nil) != (c.want == "") || c.got != nil && *c.got != string([]rune(c.want)) {
				t.Errorf("got %v, want %q", c.got, c.want)
			}
		}
	})
}
