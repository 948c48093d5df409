package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
)

// The reference proxies give the measurements a scale: relayTCP is what copying alone costs in Go in its plainest form, without
// any HTTP; reverseProxy is what the standard library offers. relayTCP is no lower bound: its two goroutines for each connection
// wake up more often than a proxy that handles a connection in one.

// relayTCP copies bytes between each accepted connection and a new one to the backend, until the listener is closed.
func relayTCP(listener net.Listener, backend string) error {
	for {
		client, err := listener.Accept()
		if err != nil {
			return fmt.Errorf("cannot accept: %w", err)
		}
		go func() {
			server, err := net.Dial("tcp", backend)
			if err != nil {
				client.Close()
				return
			}
			go copyAll(server, client)
			copyAll(client, server)
		}()
	}
}

// copyAll copies until either side is closed and then closes both. It reads and writes by itself: io.Copy would use splice,
// which needs twice the system calls for small messages.
func copyAll(to, from net.Conn) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 16<<10)
	for {
		n, err := from.Read(buffer)
		if n > 0 {
			if _, err := to.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// reverseProxy serves httputil.ReverseProxy, flushing every write, with as many idle upstream connections as the load opens.
func reverseProxy(listener net.Listener, backend string) error {
	transport := &http.Transport{MaxIdleConnsPerHost: 1024, MaxIdleConns: 1024, DisableCompression: true}
	proxy := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(&url.URL{Scheme: "http", Host: backend})
			r.Out.Host = r.In.Host
			r.SetXForwarded()
		},
		FlushInterval: -1,
		Transport:     transport,
		// Clients that leave a stream are part of the load.
		ErrorLog: log.New(io.Discard, "", 0),
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// Otherwise a backend that answers before it has read the body gets its stream cut (golang.org/issue/40747).
		_ = http.NewResponseController(w).EnableFullDuplex()
		proxy.ServeHTTP(w, r)
	})
	return http.Serve(listener, handler)
}
