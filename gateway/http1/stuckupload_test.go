package http1

import (
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/penstock/penstock/gateway/dispatch"
)

// An endpoint that stops reading leaves its upload stuck in a write, before the time for its answer begins to run.
func TestUploadThatTheEndpointDoesNotReadIsGivenUp(t *testing.T) {
	const timeouts = "timeouts: {responseHeader: 100ms}\n"
	certificate, secure := selfSigned(t)
	tests := []struct {
		name, yaml string
		arrive     func(*peer) *peer
	}{
		{"plain", simple + timeouts, func(s *peer) *peer { return s }},
		{"TLS", secure + timeouts, func(s *peer) *peer { return overTLS(s, certificate) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b, g, c := start(t, test.yaml)
			var uploading sync.WaitGroup
			defer uploading.Wait()
			defer c.close()
			c.send(uploadHead)
			uploading.Go(func() {
				for piece := chunk(strings.Repeat("x", 60_000)); ; {
					if _, err := io.WriteString(c.conn, piece); err != nil {
						return
					}
				}
			})
			s := test.arrive(b.accept())
			s.head()
			if res, body := c.response("POST"); res.StatusCode != 504 || !strings.Contains(body, `"code":"upstream_timeout"`) || !res.Close {
				t.Errorf("got %d %s (close: %v), want 504 upstream_timeout and close", res.StatusCode, body, res.Close)
			}
			g.wantEnded(0, dispatch.Refused, 504)
			if got, err := s.rest(); err == nil || strings.HasSuffix(got, "0\r\n\r\n") {
				t.Error("the request ended as if it were complete")
			}
		})
	}
}
