package http1

import (
	"io"
	"net"
	"runtime"
	"testing"
)

// echoBackend answers every read with the same response, without allocating, so that what is counted is the gateway's.
func echoBackend(t testing.TB, response []byte) *backend {
	b := startBackend(t)
	go func() {
		for p := range b.conns {
			go func() {
				defer p.conn.Close()
				buf := make([]byte, 64<<10)
				for {
					if _, err := p.conn.Read(buf); err != nil {
						return
					}
					if _, err := p.conn.Write(response); err != nil {
						return
					}
				}
			}()
		}
	}()
	return b
}

// roundTrips sends request n times over one connection and reads as many responses of want bytes each.
func roundTrips(t testing.TB, conn net.Conn, request []byte, want int, n int) {
	buf := make([]byte, 4096)
	for range n {
		if _, err := conn.Write(request); err != nil {
			t.Fatal(err)
		}
		for got := 0; got < want; {
			m, err := conn.Read(buf)
			if err != nil {
				t.Fatal(err)
			}
			got += m
		}
	}
}

func responseSize(t testing.TB, g *gateway, request []byte) int {
	t.Helper()
	c := g.dial()
	c.send(string(request))
	head := c.head()
	res, body := head, ""
	if _, err := io.ReadFull(c.r, make([]byte, c.r.Buffered())); err != nil {
		t.Fatal(err)
	}
	_ = body
	return len(res)
}

func TestProxiedRequestAllocatesNothing(t *testing.T) {
	if raceEnabled {
		t.Skip("the race detector makes pools drop what is put into them")
	}
	body := `{"id":"cmpl-1","object":"chat.completion","usage":{"prompt_tokens":12,"completion_tokens":7}}`
	b := echoBackend(t, []byte(plain(200, body)))
	g := startGateway(t, simple, b)
	g.finished.quiet.Store(true)
	request := []byte(post("/v1/chat/completions", `{"model":"llama-3-8b","messages":[{"role":"user","content":"hello"}]}`))
	size := responseSize(t, g, request) + len(body)
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	roundTrips(t, conn, request, size, 200) // warms pools
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	const n = 5000
	roundTrips(t, conn, request, size, n)
	runtime.ReadMemStats(&after)
	if per := float64(after.Mallocs-before.Mallocs) / n; per > 0.02 {
		t.Errorf("%.3f allocations a request, want 0", per)
	}
}

func BenchmarkProxiedRequest(b *testing.B) {
	body := `{"id":"cmpl-1","object":"chat.completion","usage":{"prompt_tokens":12,"completion_tokens":7}}`
	be := echoBackend(b, []byte(plain(200, body)))
	g := startGateway(b, simple, be)
	g.finished.quiet.Store(true)
	request := []byte(post("/v1/chat/completions", `{"model":"llama-3-8b","messages":[{"role":"user","content":"hello"}]}`))
	size := responseSize(b, g, request) + len(body)
	conn, err := net.Dial("tcp", g.addr)
	if err != nil {
		b.Fatal(err)
	}
	defer conn.Close()
	b.ReportAllocs()
	b.ResetTimer()
	roundTrips(b, conn, request, size, b.N)
}
