// Package dnstest is a DNS server on the loopback for tests.
package dnstest

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// maxUDP is the longest answer over UDP, beyond which it is truncated: what Go's resolver says that it takes.
const maxUDP = 1232

// Server answers what it was told to, over UDP and TCP. A name that it was told nothing of does not exist.
type Server struct {
	t       testing.TB
	packets net.PacketConn
	streams net.Listener
	mu      sync.Mutex
	answers map[question]answer
	asked   map[string]int // by network
	wake    chan struct{}  // closed and replaced at each question
}

type question struct {
	name string // in lower case, with the dot at the end
	kind dnsmessage.Type
}

type answer struct {
	code    dnsmessage.RCode
	silent  bool
	records []dnsmessage.ResourceBody
}

// Start runs a server until the test ends.
func Start(t testing.TB) *Server {
	t.Helper()
	s := &Server{t: t, answers: make(map[question]answer), asked: make(map[string]int), wake: make(chan struct{})}
	s.listen()
	var serving sync.WaitGroup
	serving.Go(s.servePackets)
	serving.Go(s.serveStreams)
	t.Cleanup(func() {
		s.packets.Close()
		s.streams.Close()
		serving.Wait()
	})
	return s
}

// listen opens a port that is free for both UDP and TCP.
func (s *Server) listen() {
	s.t.Helper()
	for range 100 {
		streams, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			s.t.Fatal(err)
		}
		if s.packets, err = net.ListenPacket("udp", streams.Addr().String()); err == nil {
			s.streams = streams
			return
		}
		streams.Close()
	}
	s.t.Fatal("no port is free for both UDP and TCP")
}

// Dial connects to the server, whichever one is asked for.
func (s *Server) Dial(ctx context.Context, network, _ string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, network, s.streams.Addr().String())
}

// Addresses gives name, which ends with a dot, these addresses and no others.
func (s *Server) Addresses(name string, addresses ...string) {
	var four, six []dnsmessage.ResourceBody
	for _, text := range addresses {
		if a := netip.MustParseAddr(text); a.Is4() {
			four = append(four, &dnsmessage.AResource{A: a.As4()})
		} else {
			six = append(six, &dnsmessage.AAAAResource{AAAA: a.As16()})
		}
	}
	s.set(name, dnsmessage.TypeA, answer{records: four})
	s.set(name, dnsmessage.TypeAAAA, answer{records: six})
}

// SRV gives name, which ends with a dot, these SRV records and no others.
func (s *Server) SRV(name string, records ...net.SRV) {
	var bodies []dnsmessage.ResourceBody
	for _, r := range records {
		bodies = append(bodies, &dnsmessage.SRVResource{Priority: r.Priority, Weight: r.Weight, Port: r.Port, Target: dnsmessage.MustNewName(r.Target)})
	}
	s.set(name, dnsmessage.TypeSRV, answer{records: bodies})
}

// Fail has questions for records of a name answered with a code.
func (s *Server) Fail(name string, kind dnsmessage.Type, code dnsmessage.RCode) {
	s.set(name, kind, answer{code: code})
}

// Ignore leaves questions for records of a name without an answer.
func (s *Server) Ignore(name string, kind dnsmessage.Type) { s.set(name, kind, answer{silent: true}) }

func (s *Server) set(name string, kind dnsmessage.Type, a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[question{strings.ToLower(name), kind}] = a
}

// Asked is how many questions came over a network, udp or tcp.
func (s *Server) Asked(network string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.asked[network]
}

// AwaitAsked waits until n questions have come over a network.
func (s *Server) AwaitAsked(network string, n int) {
	s.t.Helper()
	deadline := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		asked, wake := s.asked[network], s.wake
		s.mu.Unlock()
		if asked >= n {
			return
		}
		select {
		case <-wake:
		case <-deadline:
			s.t.Fatalf("%d questions came over %s, want %d", asked, network, n)
		}
	}
}

func (s *Server) servePackets() {
	buffer := make([]byte, 64<<10)
	for {
		n, from, err := s.packets.ReadFrom(buffer)
		if err != nil {
			return
		}
		if reply := s.reply("udp", buffer[:n]); reply != nil {
			s.packets.WriteTo(reply, from)
		}
	}
}

// serveStreams answers one question on each connection, one after the other: each is read with a deadline.
func (s *Server) serveStreams() {
	for {
		c, err := s.streams.Accept()
		if err != nil {
			return
		}
		s.serveStream(c)
	}
}

func (s *Server) serveStream(c net.Conn) {
	defer c.Close()
	c.SetDeadline(time.Now().Add(5 * time.Second))
	var length [2]byte
	if _, err := io.ReadFull(c, length[:]); err != nil {
		return
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(c, message); err != nil {
		return
	}
	if reply := s.reply("tcp", message); reply != nil {
		c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...))
	}
}

// reply answers a message; nil is no answer.
func (s *Server) reply(network string, message []byte) []byte {
	var p dnsmessage.Parser
	header, err := p.Start(message)
	if err != nil {
		return nil
	}
	q, err := p.Question()
	if err != nil {
		return nil
	}
	a := s.answer(network, q)
	if a.silent {
		return nil
	}
	header.Response, header.RecursionAvailable, header.RCode = true, true, a.code
	reply := pack(header, q, a.records)
	if network == "udp" && len(reply) > maxUDP {
		header.Truncated = true
		reply = pack(header, q, nil)
	}
	return reply
}

// answer finds what a question is answered with, and counts it.
func (s *Server) answer(network string, q dnsmessage.Question) answer {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked[network]++
	close(s.wake)
	s.wake = make(chan struct{})
	name := strings.ToLower(q.Name.String())
	if a, ok := s.answers[question{name, q.Type}]; ok {
		return a
	}
	for known := range s.answers {
		if known.name == name {
			return answer{}
		}
	}
	return answer{code: dnsmessage.RCodeNameError}
}

func pack(header dnsmessage.Header, q dnsmessage.Question, records []dnsmessage.ResourceBody) []byte {
	m := dnsmessage.Message{Header: header, Questions: []dnsmessage.Question{q}}
	for _, r := range records {
		m.Answers = append(m.Answers, dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}, Body: r})
	}
	data, err := m.Pack()
	if err != nil {
		panic("BUG: a test's DNS records cannot be sent: " + err.Error())
	}
	return data
}
