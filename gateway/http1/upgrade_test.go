package http1

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

const (
	upgradeRequest  = "GET /v1/realtime HTTP/1.1\r\nHost: gateway\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: a2V5\r\n\r\n"
	upgradeResponse = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: x\r\n\r\n"
)

// tunnel opens a tunnel through the gateway.
func tunnel(t *testing.T, yaml string) (g *gateway, c, s *peer) {
	t.Helper()
	b, g, c := start(t, yaml)
	c.send(upgradeRequest)
	s = b.accept()
	head := s.head()
	wantHeader(t, head, "Connection", "Connection: upgrade")
	wantHeader(t, head, "Upgrade", "Upgrade: websocket")
	wantHeader(t, head, "Sec-WebSocket-Key", "Sec-WebSocket-Key: a2V5")
	s.send(upgradeResponse)
	head = c.head()
	if !strings.HasPrefix(head, "HTTP/1.1 101 Switching Protocols\r\n") {
		t.Fatalf("got %q", head)
	}
	wantHeader(t, head, "Connection", "Connection: upgrade")
	wantHeader(t, head, "Upgrade", "Upgrade: websocket")
	wantHeader(t, head, "Sec-WebSocket-Accept", "Sec-WebSocket-Accept: x")
	return g, c, s
}

func TestTunnelRelaysBothWays(t *testing.T) {
	g, c, s := tunnel(t, simple)
	for range 10 {
		c.send("ping")
		s.expect("ping")
		s.send("pong")
		c.expect("pong")
	}
	long := strings.Repeat("x", 1<<20)
	go c.send(long)
	go s.send(long)
	c.expect(long)
	s.expect(long)
	c.close()
	s.closed()
	s.close()
	g.wantEnded(0, dispatch.Completed, 101)
}

func TestBytesBehindTheHeadsBelongToTheTunnel(t *testing.T) {
	b, _, c := start(t, simple)
	c.send(upgradeRequest + "early")
	s := b.accept()
	s.head()
	s.send(upgradeResponse + "hello")
	c.head()
	c.expect("hello")
	s.expect("early")
	c.send("later")
	s.expect("later")
}

func TestHalfCloseOfATunnelEndsOneDirection(t *testing.T) {
	for _, halfClose := range []string{"abort", "allow"} {
		t.Run("by the client, "+halfClose, func(t *testing.T) {
			g, c, s := tunnel(t, simple+"clientHalfClose: "+halfClose+"\n")
			c.send("last")
			c.closeWrite()
			if got, err := s.rest(); got != "last" || err != nil {
				t.Errorf("the backend got %q and %v", got, err)
			}
			s.send("answer")
			c.expect("answer")
			s.send("more")
			s.close()
			if got, err := c.rest(); got != "more" || err != nil {
				t.Errorf("the client got %q and %v", got, err)
			}
			g.wantEnded(0, dispatch.Completed, 101)
		})
		t.Run("by the backend, "+halfClose, func(t *testing.T) {
			g, c, s := tunnel(t, simple+"clientHalfClose: "+halfClose+"\n")
			s.send("last")
			s.closeWrite()
			if got, err := c.rest(); got != "last" || err != nil {
				t.Errorf("the client got %q and %v", got, err)
			}
			c.send("answer")
			s.expect("answer")
			c.close()
			s.closed()
			g.wantEnded(0, dispatch.Completed, 101)
		})
	}
}

func TestResetOfATunnelEndsBothDirections(t *testing.T) {
	t.Run("by the client", func(t *testing.T) {
		g, c, s := tunnel(t, simple)
		c.reset()
		s.gone()
		g.wantEnded(0, dispatch.ClientGone, 499)
	})
	t.Run("by the backend", func(t *testing.T) {
		g, c, s := tunnel(t, simple)
		s.reset()
		c.gone()
		g.await(1)
	})
}

func TestSilentTunnelIsCut(t *testing.T) {
	g, c, s := tunnel(t, simple+"timeouts: {streamIdle: 50ms}\n")
	c.gone()
	s.gone()
	g.await(1)
}

func TestSwitchThatNobodyAskedForIsRefused(t *testing.T) {
	for _, request := range []string{
		getRequest,
		post("/x", "{}"),
		"GET /x HTTP/1.1\r\nHost: gateway\r\nUpgrade: websocket\r\n\r\n", // Connection does not say so
		"GET /x HTTP/1.1\r\nHost: gateway\r\nConnection: upgrade, http2-settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
		"GET /x HTTP/1.0\r\nHost: gateway\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
	} {
		b, g, c := start(t, simple)
		c.send(request)
		s := b.accept()
		req, _ := s.request()
		if req.Header.Get("Upgrade") != "" {
			t.Errorf("Upgrade was forwarded: %v", req.Header)
		}
		s.send(upgradeResponse + "hello")
		if res, _ := c.response("GET"); res.StatusCode != 502 {
			t.Errorf("%.60q: got %d, want 502", request, res.StatusCode)
		}
		s.gone()
		g.wantEnded(0, dispatch.Refused, 502)
	}
}

func TestRefusedUpgradeIsAnOrdinaryResponse(t *testing.T) {
	b, _, c := start(t, simple)
	c.send(upgradeRequest)
	s := b.accept()
	s.head()
	s.send(plain(403, "no"))
	if res, body := c.response("GET"); res.StatusCode != 403 || body != "no" {
		t.Errorf("got %d %q", res.StatusCode, body)
	}
	c.send(getRequest)
	s.head()
	s.send(plain(200, "ok"))
	c.response("GET")
}
