package gateway

import (
	"container/list"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// maxAdminConns is how many connections the admin port has at once: a scraper or a person needs one or two.
const maxAdminConns = 128

// adminConns bounds the connections of the admin port. Where there are too many, the one goes that has been without a request for longest, and not the one
// that comes: a listener that let them wait would let anybody who opens connections and says nothing keep the kubelet's probes out, and so have the gateway
// restarted. Where all are being answered, the one that comes goes.
type adminConns struct {
	most int

	mu    sync.Mutex
	open  map[net.Conn]*list.Element // nil: a request of it is being answered
	quiet list.List                  // of net.Conn without a request, by how long, longest first
}

func newAdminConns(most int) *adminConns {
	return &adminConns{most: most, open: make(map[net.Conn]*list.Element)}
}

// changed is told by the server what becomes of a connection.
func (a *adminConns) changed(c net.Conn, state http.ConnState) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if e := a.open[c]; e != nil {
		a.quiet.Remove(e)
	}
	switch state {
	case http.StateClosed, http.StateHijacked:
		delete(a.open, c)
	case http.StateActive:
		a.open[c] = nil
	case http.StateNew:
		a.makeRoom(c)
		a.open[c] = a.quiet.PushBack(c)
	case http.StateIdle:
		a.open[c] = a.quiet.PushBack(c)
	}
}

// makeRoom closes a connection if c is one too many. The server then tells that it is closed.
func (a *adminConns) makeRoom(c net.Conn) {
	if len(a.open) < a.most {
		return
	}
	victim := c
	if e := a.quiet.Front(); e != nil {
		victim = a.quiet.Remove(e).(net.Conn)
		delete(a.open, victim)
	}
	cut(victim)
}

// cut closes a connection without a farewell of TLS, which could wait for a client that does not read.
func cut(c net.Conn) {
	if secure, ok := c.(*tls.Conn); ok {
		c = secure.NetConn()
	}
	c.Close()
}
