package http1

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

// A head that is too long for one write is sent by the goroutine that later relays the client's direction: the end of the first task
// must not be taken for the end of the second one.
func TestLongHeadOfATunnelOverTLS(t *testing.T) {
	certificate, yaml := selfSigned(t)
	b, g, c := start(t, yaml)
	cookie := strings.Repeat("x", smallBuffer+1)
	c.send(strings.Replace(upgradeRequest, "\r\n\r\n", "\r\nCookie: "+cookie+"\r\n\r\n", 1))
	s := overTLS(b.accept(), certificate)
	wantHeader(t, s.head(), "Cookie", "Cookie: "+cookie)
	s.send(upgradeResponse + "last")
	c.head()
	s.closeWrite()
	if got, err := c.rest(); got != "last" || err != nil {
		t.Errorf("the client got %q and %v", got, err)
	}
	for range 10 {
		c.send("answer")
		s.expect("answer")
	}
	c.close()
	s.closed()
	g.wantEnded(0, dispatch.Completed, 101)
}
