package http1

import (
	"fmt"
	"testing"

	"github.com/penstock/penstock/gateway/bridge"
	"github.com/penstock/penstock/gateway/bridge/bridgetest"
	"github.com/penstock/penstock/gateway/dispatch"
)

func TestCarryRelaysTheTrailersOfResponses(t *testing.T) {
	b := startBackend(t)
	up := startUpstream(t, b)
	c := bridgetest.NewClient(t, "")
	k := bridgetest.Carry(t, up, get("/x"), c)
	s := b.accept()
	s.head()
	s.send(chunkedHead + chunk("token") + "0\r\nServer-Timing:  total;dur=5 \r\nX-")
	c.AwaitText("token")
	s.send("Sum: 1\r\n\r\n")
	k.Ended(dispatch.Completed, false)
	if got, want := fmt.Sprint(c.After), "[{server-timing total;dur=5 false} {x-sum 1 false}]"; got != want {
		t.Errorf("the trailers are %s, want %s", got, want)
	}
}

func TestCarryRelaysTheTrailersOfRequests(t *testing.T) {
	trailers := []bridge.Field{
		{Name: "x-sum", Value: "1"}, {Name: "content-length", Value: "5"}, {Name: "authorization", Value: "x"}, {Name: "bad name", Value: "x"},
		{Name: "x-bad-value", Value: "a\r\nb: c"}, {Name: "x_forwarded_for", Value: "1.2.3.4"},
	}
	for _, held := range []bool{true, false} {
		t.Run(fmt.Sprint("held ", held), func(t *testing.T) {
			b := startBackend(t)
			up := startUpstream(t, b)
			c := bridgetest.NewClient(t, "body")
			c.Sends = trailers
			k := bridgetest.Carry(t, up, postOf(-1, held), c)
			s := b.accept()
			s.head()
			s.expect(chunk("body") + "0\r\nx-sum: 1\r\n\r\n")
			s.send(plain(200, "ok"))
			k.Ended(dispatch.Completed, false)
		})
	}
}
