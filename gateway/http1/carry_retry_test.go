package http1

import (
	"testing"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/bridge/bridgetest"
	"github.com/penstock/penstock/gateway/dispatch"
)

// idleConnection leaves an idle connection to b in the pool.
func idleConnection(t *testing.T, b *backend, up *Upstream) *peer {
	t.Helper()
	k := bridgetest.Carry(t, up, get("/first"), bridgetest.NewClient(t, ""))
	s := b.accept()
	s.head()
	s.send(plain(200, "ok"))
	k.Ended(dispatch.Completed, false)
	return s
}

func TestCarryTellsWhatMayBeTriedAgain(t *testing.T) {
	t.Run("no connection", func(t *testing.T) {
		up := startUpstream(t, &backend{addr: deadAddress(t)})
		bridgetest.Carry(t, up, postOf(4, true), bridgetest.NewClient(t, "body")).Ended(dispatch.ConnectFailed, true)
		c := bridgetest.NewClient(t, "body")
		bridgetest.Carry(t, up, postOf(4, false), c).Ended(dispatch.ConnectFailed, true)
		if n, err := c.Read(make([]byte, 10)); n != 4 || err != nil {
			t.Errorf("%d bytes of the body are left (%v), want all", n, err)
		}
	})
	for name, end := range map[string]func(*peer){"closes": (*peer).close, "resets": (*peer).reset} {
		t.Run("a connection in use before "+name, func(t *testing.T) {
			b := startBackend(t)
			up := startUpstream(t, b)
			s := idleConnection(t, b, up)
			k := bridgetest.Carry(t, up, postOf(4, true), bridgetest.NewClient(t, "body"))
			s.head()
			end(s)
			k.Ended(dispatch.StaleConnection, true)
		})
		t.Run("a fresh connection "+name, func(t *testing.T) {
			b := startBackend(t)
			up := startUpstream(t, b)
			k := bridgetest.Carry(t, up, postOf(4, true), bridgetest.NewClient(t, "body"))
			s := b.accept()
			s.request()
			end(s)
			k.Ended(dispatch.UpstreamReset, false)
		})
		t.Run("the connection of an upload "+name, func(t *testing.T) {
			b := startBackend(t)
			up := startUpstream(t, b)
			c, _ := bridgetest.NewUploader(t)
			k := bridgetest.Carry(t, up, postOf(-1, false), c)
			s := b.accept()
			s.head()
			end(s)
			k.Ended(dispatch.UpstreamReset, false)
		})
	}
}

func TestWhichCarriedRequestsTakeAnIdleConnection(t *testing.T) {
	fresh := get("/x")
	fresh.Fresh = true
	for _, test := range []struct {
		name    string
		request *bridge.Request
		body    string
		idle    bool
	}{
		{"no body", get("/x"), "", true},
		{"a held body", postOf(4, true), "body", true},
		{"an upload", postOf(4, false), "body", false},
		{"a request that asks for a fresh one", fresh, "", false},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := startBackend(t)
			up := startUpstream(t, b)
			s := idleConnection(t, b, up)
			k := bridgetest.Carry(t, up, test.request, bridgetest.NewClient(t, test.body))
			if !test.idle {
				s = b.accept()
			}
			s.request()
			s.send(plain(200, "ok"))
			k.Ended(dispatch.Completed, false)
			b.idle()
		})
	}
}

func TestConnectionThatMayNotBeKeptIsNotPooled(t *testing.T) {
	for name, response := range map[string]string{
		"Connection: close": "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
		"HTTP/1.0":          "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
		"left-over bytes":   plain(200, "ok") + "more",
	} {
		t.Run(name, func(t *testing.T) {
			b := startBackend(t)
			up := startUpstream(t, b)
			k := bridgetest.Carry(t, up, get("/x"), bridgetest.NewClient(t, ""))
			s := b.accept()
			s.head()
			s.send(response)
			k.Ended(dispatch.Completed, false)
			s.gone()
			if n := up.idle.Load(); n != 0 {
				t.Errorf("%d connections are kept, want none", n)
			}
		})
	}
}
