package http1

import (
	"net"
	"testing"
)

// BenchmarkBridgedRequest is BenchmarkProxiedRequest over the bridge: both halves of it, without another protocol between.
func BenchmarkBridgedRequest(b *testing.B) {
	overBridge = true
	defer func() { overBridge = false }()
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
