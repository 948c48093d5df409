package http1

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/penstock/penstock/config"
)

func TestLineBreaksInValuesAreRefusedFromClients(t *testing.T) {
	b := startBackend(t)
	g := startGateway(t, simple, b)
	for _, request := range []string{
		"GET /x\r\nX-Injected: 1 HTTP/1.1\r\nHost: gateway\r\n\r\n",
		"GET /x\rX HTTP/1.1\r\nHost: gateway\r\n\r\n",
		"GET /x HTTP/1.1\r\nHost: gateway\rX-Injected: 1\r\n\r\n",
		"GET /x HTTP/1.1\r\nHost: gateway\nX-Injected: 1\r\n\r\n",
		"GET /x HTTP/1.1\r\nHost: gateway\r\nX-Request-ID: a\rb\r\n\r\n",
		"GET /x HTTP/1.1\r\nHost: gateway\r\nX-Request-ID: a\nb\r\n\r\n",
		"GET /x HTTP/1.1\r\nHost: gateway\r\nX-Forwarded-For: a\rb\r\n\r\n",
		"GET /x HTTP/1.1\r\nHost: gateway\r\nX-A\rB: c\r\n\r\n",
	} {
		c := g.dial()
		c.send(request)
		if res, _ := c.response("GET"); res.StatusCode != 400 {
			t.Errorf("%q was answered %d, want 400", request, res.StatusCode)
		}
	}
	b.idle()
}

func TestLineBreaksInModelsStayInTheirStrings(t *testing.T) {
	b := startBackend(t)
	g := startGateway(t, byModel, b)
	c := g.dial()
	c.send(post("/v1/completions", `{"model":"a\r\nX-Injected: 1\r\n\r\n\"<b>\u0000"}`))
	head := c.head()
	wantHeader(t, head, "X-Injected")
	var answer struct {
		Error struct{ Message, Code string }
	}
	if err := json.NewDecoder(c.r).Decode(&answer); err != nil || answer.Error.Code != "model_not_found" {
		t.Errorf("the answer is %+v (%v)", answer, err)
	}
	b.idle()
}

func TestLineBreaksInConfiguredHeadersAreRefused(t *testing.T) {
	for _, edit := range []string{`set: {X-A: "b\r\nX-Injected: 1"}`, `set: {X-A: "b\nc"}`, `set: {"X-A\r\nX-B": "c"}`, `set: {X-A: "b\0"}`} {
		for _, side := range []string{"requestHeaders", "responseHeaders"} {
			yaml := strings.Replace(simple, "BACKEND", "127.0.0.1:1", 1) + "routes: [{split: [{pool: only}], " + side + ": {" + edit + "}}]\n"
			if _, err := config.Parse("test.yaml", []byte(yaml)); err == nil {
				t.Errorf("%s with %s was accepted", side, edit)
			}
		}
	}
}

func TestConfiguredHeadersReplaceThoseThatCame(t *testing.T) {
	b, _, c := start(t, simple+`
routes:
  - split: [{pool: only}]
    requestHeaders: {set: {X-Team: ours}, remove: [Authorization]}
    responseHeaders: {set: {Server: penstock}, remove: [X-Debug]}
`)
	c.send("GET /x HTTP/1.1\r\nHost: gateway\r\nx-team: theirs\r\nX-TEAM: more\r\nauthorization: Bearer t\r\nX-Stays: 1\r\n\r\n")
	s := b.accept()
	head := s.head()
	wantHeader(t, head, "X-Team", "X-Team: ours")
	wantHeader(t, head, "Authorization")
	wantHeader(t, head, "X-Stays", "X-Stays: 1")
	s.send("HTTP/1.1 200 OK\r\nserver: uvicorn\r\nX-Debug: 1\r\nX-Stays: 2\r\nContent-Length: 0\r\n\r\n")
	head = c.head()
	wantHeader(t, head, "Server", "Server: penstock")
	wantHeader(t, head, "X-Debug")
	wantHeader(t, head, "X-Stays", "X-Stays: 2")
}
