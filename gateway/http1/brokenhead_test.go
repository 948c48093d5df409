package http1

import (
	"strings"
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

// What has come of a head that broke off must not be taken for the beginning of the next one.
func TestHeadThatBrokeOffIsForgotten(t *testing.T) {
	b, g, c := start(t, simple)
	for i := range 3 {
		c.send(getRequest)
		s := b.accept()
		s.head()
		s.send("HTTP/1.1 200 OK\r\nX-Long: " + strings.Repeat("x", 500) + "\r\nX-Half: ")
		s.close()
		if res, _ := c.response("GET"); res.StatusCode != 502 {
			t.Errorf("got %d, want 502", res.StatusCode)
		}
		g.wantEnded(2*i, dispatch.Refused, 502)
		c.send(getRequest)
		s = b.accept()
		s.head()
		s.send("HTTP/1.1 200")
		s.send(" OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok")
		if res, body := c.response("GET"); res.StatusCode != 200 || body != "ok" {
			t.Errorf("got %d %q, want 200", res.StatusCode, body)
		}
		g.wantEnded(2*i+1, dispatch.Completed, 200)
	}
}
