package http1

import "testing"

// Clients of other languages' proxies met a limit of 512 connections to one host.
func TestManyStreamsToOneEndpoint(t *testing.T) {
	const n = 600
	b := startBackend(t)
	g := startGateway(t, simple, b)
	clients, servers := make([]*peer, n), make([]*peer, n)
	for i := range n {
		clients[i] = g.dial()
		clients[i].send(getRequest)
		servers[i] = b.accept()
		servers[i].head()
		servers[i].send(chunkedHead)
		clients[i].head()
	}
	for range 3 {
		for i := range n {
			servers[i].send(chunk("token"))
		}
		for i := range n {
			clients[i].expect(chunk("token"))
		}
	}
	if active := g.server.Active(); active != n {
		t.Errorf("%d requests are underway, want %d", active, n)
	}
	for i := range n {
		servers[i].send("0\r\n\r\n")
		clients[i].expect("0\r\n\r\n")
	}
	g.await(n)
}
