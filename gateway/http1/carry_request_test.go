package http1

import (
	"io"
	"testing"

	"github.com/penstock/penstock/gateway/bridge/bridgetest"
	"github.com/penstock/penstock/gateway/dispatch"
)

// noted is a body that tells of its end.
type noted struct {
	io.Reader
	ended bool
}

func (n *noted) Read(p []byte) (int, error) {
	m, err := n.Reader.Read(p)
	n.ended = n.ended || err == io.EOF
	return m, err
}

// Whoever waits for an answer counts from the end of the request, which it learns of by being asked for more.
func TestCarryReadsHeldBodiesToTheirEnd(t *testing.T) {
	for length, body := range map[int64]string{0: "", 4: "body", -1: "body"} {
		b := startBackend(t)
		up := startUpstream(t, b)
		c := bridgetest.NewClient(t, body)
		end := &noted{Reader: c.Body}
		c.Body = end
		k := bridgetest.Carry(t, up, postOf(length, true), c)
		s := b.accept()
		s.request()
		s.send(plain(200, "ok"))
		k.Ended(dispatch.Completed, false)
		if !end.ended {
			t.Errorf("the end of a body of length %d was not read", length)
		}
	}
}
