package http1

import (
	"crypto/tls"
	"errors"
	"syscall"
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

// A tunnel's bytes have no end of their own: how the connection ends is all that tells a client whether it got everything.
func TestTunnelThatBreaksOffIsReset(t *testing.T) {
	certificate, secure := selfSigned(t)
	tests := []struct {
		name, yaml string
		arrive     func(*peer) *peer
		end        func(*peer)
	}{
		{"reset by the endpoint", simple, func(s *peer) *peer { return s }, (*peer).reset},
		{"TLS cut without close_notify", secure, func(s *peer) *peer { return overTLS(s, certificate) },
			func(s *peer) { s.conn.(*tls.Conn).NetConn().Close() }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, g, c := start(t, test.yaml)
			c.send(upgradeRequest)
			s := test.arrive(b.accept())
			s.head()
			s.send(upgradeResponse + "hello")
			c.head()
			c.expect("hello")
			test.end(s)
			if err := c.closed(); !errors.Is(err, syscall.ECONNRESET) {
				t.Errorf("the client's connection ended with %v, want a reset", err)
			}
			g.wantEnded(0, dispatch.UpstreamBroken, 101)
		})
	}
}
