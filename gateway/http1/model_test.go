package http1

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

// twoModels sends each model to a backend of its own; the second one knows its model by another name.
const twoModels = `
pools:
  one:
    endpoints: ["http://BACKEND"]
  two:
    endpoints: ["http://BACKEND"]
routes:
  - match: {model: small}
    split: [{pool: one}]
  - match: {model: other}
    split: [{pool: two, model: "a-much-longer-name"}]
`

func TestModelInTheBodyChoosesThePool(t *testing.T) {
	one, two := startBackend(t), startBackend(t)
	g := startGateway(t, twoModels, one, two)
	form := func(model string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n\"model\":\"x\"\r\n" +
			"--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n" + model + "\r\n--b--\r\n"
	}
	multipart := func(model string) string {
		body := form(model)
		return fmt.Sprintf("POST /v1/audio HTTP/1.1\r\nHost: gateway\r\nContent-Type: multipart/form-data; boundary=b\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	}
	json := func(head string) string {
		return strings.Replace(head, "\r\n\r\n", "\r\nContent-Type: application/json\r\n\r\n", 1)
	}
	prompt := strings.Repeat(`say \"model\": `, 80_000) // 1.1 MB
	tests := []struct {
		name, request string
		to            *backend
		body          string
	}{
		{"JSON", post("/v1/x", `{"a":[{"model":"other"}], "model" : "small","model2":1}`), one, `{"a":[{"model":"other"}], "model" : "small","model2":1}`},
		{"JSON with an alias", post("/v1/x", `{ "model" : "other" , "n":1}`), two, `{ "model" : "a-much-longer-name" , "n":1}`},
		{"escaped name", post("/v1/x", `{"model":"\u006fther","n":1}`), two, `{"model":"a-much-longer-name","n":1}`},
		{"multipart", multipart("small"), one, form("small")},
		{"multipart with an alias", multipart("other"), two, form("a-much-longer-name")},
		{"chunked", json(uploadHead) + chunk(`{"mod`) + chunk(`el":"sm`) + chunk(`all"}`) + "0\r\n\r\n", one, `{"model":"small"}`},
		{"chunked with an alias", json(uploadHead) + chunk(`{"mod`) + chunk(`el":"ot`) + chunk(`her","n":`) + chunk(`1}`) + "0\r\n\r\n", two, `{"model":"a-much-longer-name","n":1}`},
		{"after a long prompt", post("/v1/x", `{"prompt":"`+prompt+`","model":"small"}`), one, `{"prompt":"` + prompt + `","model":"small"}`},
		{"after a long prompt, with an alias", post("/v1/x", `{"prompt":"`+prompt+`","model":"other"}`), two, `{"prompt":"` + prompt + `","model":"a-much-longer-name"}`},
		{"before a long prompt, with an alias", post("/v1/x", `{"model":"other","prompt":"`+prompt+`"}`), two, `{"model":"a-much-longer-name","prompt":"` + prompt + `"}`},
		{"chunked, before a long prompt, with an alias", json(uploadHead) + chunk(`{"model":"other","prompt":"`) + chunk(prompt) + chunk(`"}`) + "0\r\n\r\n", two,
			`{"model":"a-much-longer-name","prompt":"` + prompt + `"}`},
		{"chunked, after a long prompt, with an alias", json(uploadHead) + chunk(`{"prompt":"`+prompt) + chunk(`","model":"other"}`) + "0\r\n\r\n", two,
			`{"prompt":"` + prompt + `","model":"a-much-longer-name"}`},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := g.dial()
			go io.WriteString(c.conn, test.request)
			s := test.to.accept()
			req, body := s.request()
			if body != test.body {
				t.Errorf("the body came as %.100q of %d bytes, want %.100q of %d", body, len(body), test.body, len(test.body))
			}
			if req.ContentLength >= 0 && req.ContentLength != int64(len(test.body)) {
				t.Errorf("Content-Length is %d, want %d", req.ContentLength, len(test.body))
			}
			s.send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")
			c.response("POST")
			want := map[*backend]string{one: "small", two: "other"}[test.to]
			if e := g.await(i + 1)[i]; e.model != want {
				t.Errorf("the model was noted as %q, want %q", e.model, want)
			}
			c.close()
		})
	}
	one.idle()
	two.idle()
}

func TestModelsThatAreNotServed(t *testing.T) {
	one, two := startBackend(t), startBackend(t)
	g := startGateway(t, twoModels+"limits: {heldBodyBytes: 4KiB}\n", one, two)
	tests := []struct {
		name, request string
		status        int
		code          string
	}{
		{"unknown", post("/v1/x", `{"model":"nope"}`), 404, `"param":"model","code":"model_not_found"`},
		{"missing", post("/v1/x", `{"prompt":"x"}`), 400, `"param":"model","code":"model_required"`},
		{"no JSON", post("/v1/x", `model=small`), 400, `"code":"model_required"`},
		{"too deep", post("/v1/x", `{"prompt":"`+strings.Repeat("x", 100_000)+`","model":"small"}`), 413, `"code":"model_not_found_in_body"`},
		{"compressed", "POST /v1/x HTTP/1.1\r\nHost: gateway\r\nContent-Type: application/json\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\n\x1f\x8b\x08", 415, `"code":"encoded_body"`},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := g.dial()
			c.send(test.request)
			res, body := c.response("POST")
			if res.StatusCode != test.status || !strings.HasPrefix(body, `{"error":{"message":"`) || !strings.Contains(body, test.code) {
				t.Errorf("got %d %s, want %d %s", res.StatusCode, body, test.status, test.code)
			}
			g.wantEnded(i, dispatch.Refused, test.status)
		})
	}
	one.idle()
	two.idle()
}

func TestAliasedRequestIsRetriedWithItsAlias(t *testing.T) {
	one, two := startBackend(t), startBackend(t)
	g := startGateway(t, twoModels, one, two)
	c := g.dial()
	var s *peer
	for range 2 {
		c.send(post("/v1/x", `{"model":"other"}`))
		if s == nil {
			s = two.accept()
		} else {
			s.request()
			s.close() // a stale connection
			s = two.accept()
		}
		if _, body := s.request(); body != `{"model":"a-much-longer-name"}` {
			t.Errorf("the body came as %q", body)
		}
		s.send(plain(200, "ok"))
		c.response("POST")
	}
}
