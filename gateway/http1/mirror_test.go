package http1

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

const mirrored = `
pools:
  main:
    endpoints: ["http://BACKEND"]
  shadow:
    endpoints: ["http://BACKEND"]
routes:
  - split: [{pool: main}]
    mirror: {pool: shadow, maxBodyBytes: 1KiB}
`

func TestMirrorGetsACopyAndItsAnswerIsDropped(t *testing.T) {
	main, shadow := startBackend(t), startBackend(t)
	g := startGateway(t, mirrored, main, shadow)
	c := g.dial()
	var s *peer
	for i, request := range []string{
		post("/v1/x", `{"a":1}`),
		"POST /v1/x HTTP/1.1\r\nHost: gateway\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk(`{"a":1}`) + "0\r\n\r\n",
	} {
		c.send(request)
		m := shadow.accept()
		if req, body := m.request(); body != `{"a":1}` || req.URL.Path != "/v1/x" {
			t.Errorf("the copy came as %s %q", req.URL, body)
		}
		m.send(plain(500, "the shadow's"))
		if s == nil {
			s = main.accept()
		}
		s.request()
		s.send(plain(200, "the original's"))
		if res, body := c.response("POST"); res.StatusCode != 200 || body != "the original's" {
			t.Errorf("got %d %q", res.StatusCode, body)
		}
		g.wantEnded(i, dispatch.Completed, 200)
	}
}

func TestStreamedUploadIsMirroredWhole(t *testing.T) {
	main, shadow := startBackend(t), startBackend(t)
	g := startGateway(t, mirrored, main, shadow)
	c := g.dial()
	c.send(uploadHead + chunk("one"))
	s := main.accept()
	s.head()
	shadow.idle() // the copy goes out when it is complete
	c.send(chunk("two") + "0\r\n\r\n")
	s.expect(chunk("one") + chunk("two") + "0\r\n\r\n")
	if _, body := shadow.accept().request(); body != "onetwo" {
		t.Errorf("the copy came as %q", body)
	}
	s.send(plain(200, "ok"))
	c.response("POST")
}

func TestUploadThatBreaksOffIsNotMirrored(t *testing.T) {
	main, shadow := startBackend(t), startBackend(t)
	g := startGateway(t, mirrored, main, shadow)
	c := g.dial()
	c.send(uploadHead + chunk("one"))
	main.accept().head()
	c.close()
	g.wantEnded(0, dispatch.ClientGone, 499)
	shadow.idle()
}

func TestDeadMirrorDoesNoHarm(t *testing.T) {
	tests := []struct {
		name string
		play func(*peer) // what the shadow does with each connection
	}{
		{"closes", (*peer).close},
		{"resets", (*peer).reset},
		{"says nothing", func(*peer) {}},
		{"answers nonsense", func(p *peer) { p.conn.Write([]byte("nonsense\r\n\r\n")) }},
		{"streams without end", func(p *peer) { p.conn.Write([]byte(chunkedHead + chunk("token"))) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			main, shadow := startBackend(t), startBackend(t)
			g := startGateway(t, mirrored, main, shadow)
			c := g.dial()
			var s *peer
			for i := range 5 {
				c.send(post("/v1/x", "{}"))
				test.play(shadow.accept())
				if s == nil {
					s = main.accept()
				}
				s.request()
				s.send(plain(200, "ok"))
				if res, _ := c.response("POST"); res.StatusCode != 200 {
					t.Errorf("got %d", res.StatusCode)
				}
				g.wantEnded(i, dispatch.Completed, 200)
			}
		})
	}
	t.Run("takes no connections", func(t *testing.T) {
		main := startBackend(t)
		g := startGateway(t, mirrored, main, &backend{addr: deadAddress(t)})
		c := g.dial()
		warm(main, c)
		g.wantEnded(0, dispatch.Completed, 200)
	})
}

func TestLargeRequestsAreNotMirrored(t *testing.T) {
	main, shadow := startBackend(t), startBackend(t)
	g := startGateway(t, mirrored, main, shadow)
	c := g.dial()
	c.send(post("/v1/x", strings.Repeat("x", 5000)))
	s := main.accept()
	s.request()
	s.send(plain(200, "ok"))
	c.response("POST")
	c.send(post("/v1/small", "{}"))
	if req, _ := shadow.accept().request(); req.URL.Path != "/v1/small" {
		t.Errorf("%s was mirrored", req.URL)
	}
	s.request()
	s.send(plain(200, "ok"))
	c.response("POST")
}
