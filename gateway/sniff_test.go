package gateway

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

func TestClassify(t *testing.T) {
	for _, c := range []struct {
		first string
		want  protocol
		sure  bool
	}{
		{"", protocolHTTP1, false},
		{"\x16", protocolTLS, true},
		{"\x16\x03\x01", protocolTLS, true},
		{"GET / HTTP/1.1\r\n", protocolHTTP1, true},
		{"P", protocolHTTP1, false},
		{"PO", protocolHTTP1, true},
		{"PR", protocolHTTP1, false},
		{"PROPFIND", protocolHTTP1, true},
		{"PRI * HTTP/1.1", protocolHTTP1, true},
		{"PRI * HTTP/2.", protocolHTTP1, false},
		{"PRI * HTTP/2.0", protocolHTTP2, true},
		{"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", protocolHTTP2, true},
		{"\x80.\x01", protocolHTTP1, true},
	} {
		if got, sure := classify([]byte(c.first)); got != c.want || sure != c.sure {
			t.Errorf("%q: got %d, sure %v, want %d, %v", c.first, got, sure, c.want, c.sure)
		}
	}
}

// tcpPair returns both ends of a connection over the loopback.
func tcpPair(t *testing.T) (client, server *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); s.Close() })
	return c.(*net.TCPConn), s.(*net.TCPConn)
}

func TestSniffLeavesTheBytes(t *testing.T) {
	for first, want := range map[string]protocol{
		"\x16\x03\x01\x02\x00":              protocolTLS,
		"GET / HTTP/1.1\r\nHost: x\r\n\r\n": protocolHTTP1,
		"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":  protocolHTTP2,
	} {
		client, server := tcpPair(t)
		io.WriteString(client, first)
		got, err := sniff(server, time.Minute)
		if err != nil || got != want {
			t.Errorf("%q: got %d (%v), want %d", first, got, err, want)
		}
		client.Close()
		left, err := io.ReadAll(server)
		if err != nil || string(left) != first {
			t.Errorf("%q: the connection still held %q (%v)", first, left, err)
		}
	}
}

func TestSniffWaitsForTheRestOfAPreface(t *testing.T) {
	client, server := tcpPair(t)
	found := make(chan protocol, 1)
	go func() {
		p, _ := sniff(server, time.Minute)
		found <- p
	}()
	for _, b := range http2Preface {
		select {
		case p := <-found:
			t.Fatalf("said %d before the preface was complete", p)
		default:
		}
		client.Write([]byte{b})
	}
	if p := <-found; p != protocolHTTP2 {
		t.Errorf("got %d, want HTTP/2", p)
	}
	left := make([]byte, len(http2Preface))
	if _, err := io.ReadFull(server, left); err != nil || !bytes.Equal(left, http2Preface) {
		t.Errorf("the connection held %q (%v)", left, err)
	}
}

func TestSniffGivesUp(t *testing.T) {
	_, server := tcpPair(t)
	if _, err := sniff(server, time.Millisecond); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a client that says nothing: %v, want the deadline", err)
	}
	client, server := tcpPair(t)
	client.Close()
	if _, err := sniff(server, time.Minute); !errors.Is(err, io.EOF) {
		t.Errorf("a client that leaves: %v, want EOF", err)
	}
}
