package http2

import (
	"fmt"
	"strings"
	"testing"
)

// BenchmarkUnary has one client connection and one to the endpoint, both within this process: what it costs beyond the gateway is four
// socket calls.
func BenchmarkUnary(b *testing.B) {
	for _, atOnce := range []int{1, 64} {
		b.Run(fmt.Sprintf("%d at once", atOnce), func(b *testing.B) {
			e := startEndpoint(b)
			serveBare(e, strings.Repeat("a", 256))
			g := startGateway(b, simple, e)
			g.finished.quiet.Store(true)
			c := dialBare(b, g, callOf("/test.Service/Method").with("user-agent", "test"), strings.Repeat("q", 256))
			c.calls(b, 500, atOnce)
			b.ReportAllocs()
			b.ResetTimer()
			c.calls(b, b.N, atOnce)
		})
	}
}
