package main

import (
	"errors"
	"fmt"

	"golang.org/x/net/http2/hpack"
)

// grpcClient is a connection of HTTP/2 with a number of gRPC calls at once. What it sends gathers until the generator waits, as it
// does in the libraries of gRPC: the answers that one read brought are followed by one write of new requests.
type grpcClient struct {
	*h2socket
	g      *generator
	call   *rpc
	slots  []*slot
	done   []*slot
	unsent bool // is among the generator's unsent
	// successor takes the calls over after the peer has announced with GOAWAY that it takes no more.
	successor *grpcClient
}

// addGRPC adds a connection for calls of the load's kind.
func (g *generator) addGRPC(fd int) []*slot {
	c := g.newGRPC(fd)
	for range g.spec.Calls {
		c.slots = append(c.slots, &slot{conn: c})
	}
	return c.slots
}

func (g *generator) newGRPC(fd int) *grpcClient {
	c := &grpcClient{g: g, call: rpcs[g.spec.Kind]}
	c.h2socket = newH2socket(newH2conn(c, true, streamWindow), g.poll, fd, len(g.conns))
	g.conns = append(g.conns, c)
	c.gather()
	return c
}

// gather has the generator write what is in out before it waits.
func (c *grpcClient) gather() {
	if !c.unsent {
		c.unsent = true
		c.g.unsent = append(c.g.unsent, c)
	}
}

// write writes what has gathered.
func (c *grpcClient) write() {
	c.unsent = false
	if c.fd < 0 {
		return
	}
	if err := c.flush(); err != nil {
		c.fail(err)
	}
}

// send implements conn.
func (c *grpcClient) send(s *slot) {
	if c.successor != nil {
		s.conn = c.successor
		c.successor.send(s)
		return
	}
	if c.fd < 0 {
		return
	}
	// A client's streams have odd numbers, beginning with 1.
	stream := c.begin((c.lastID + 1) | 1)
	stream.call, stream.slot = c.call, s
	stream.body, stream.step, stream.want = c.call.request, len(c.call.request), c.call.response
	c.sendHeaders(stream, &c.call.fields, false)
	c.h2conn.send(stream)
	c.turn(nil)
	c.g.asked(s)
	c.gather()
}

// receive implements conn.
func (c *grpcClient) receive(int64) []*slot {
	if c.fd < 0 {
		return nil
	}
	c.done = c.done[:0]
	err := c.unblock()
	if err == nil {
		err = c.read()
	}
	switch {
	case c.successor != nil && len(c.streams) == 0 && (err == nil || errors.Is(err, errClosed)):
		c.close()
		return c.done
	case err != nil:
		c.fail(err)
		return c.done
	}
	if c.widened {
		c.turn(nil)
	}
	if len(c.out) > 0 {
		c.gather()
	}
	return c.done
}

// fail implements conn.
func (c *grpcClient) fail(err error) {
	c.g.result.fail(err)
	for _, s := range c.streams {
		c.g.answered(s.slot)
	}
	clear(c.streams)
	c.close()
}

// close implements conn.
func (c *grpcClient) close() {
	if c.fd >= 0 {
		closeReset(c.fd)
		c.fd = -1
	}
}

// begun implements h2owner.
func (c *grpcClient) begun(s *h2stream) error {
	return fmt.Errorf("the proxy began stream %d by itself", s.id)
}

// gotHeaders implements h2owner.
func (c *grpcClient) gotHeaders(s *h2stream, fields []hpack.HeaderField, end bool) error {
	if !s.headed {
		s.headed = true
		return checkHead(fields, end)
	}
	if err := checkTrailers(fields, end); err != nil {
		return err
	}
	if len(s.want) > 0 || len(s.body) > 0 {
		return fmt.Errorf("a response ended %d bytes early, with %d bytes of its request unsent", len(s.want), len(s.body))
	}
	c.g.requests++
	c.g.answered(s.slot)
	c.done = append(c.done, s.slot)
	c.end(s)
	return nil
}

var errNoTrailers = errors.New("a response ended without trailers")

// gotData implements h2owner.
func (c *grpcClient) gotData(s *h2stream, b []byte, end bool) error {
	before := len(s.call.response) - len(s.want)
	if !s.headed || !s.expect(b) {
		return fmt.Errorf("%w, after %d of %d bytes", errWrongReply, before, len(s.call.response))
	}
	if end {
		return errNoTrailers
	}
	c.g.events += int64((before+len(b))/s.call.message - before/s.call.message)
	return nil
}

// gotReset implements h2owner.
func (c *grpcClient) gotReset(_ *h2stream, code uint32) error {
	return fmt.Errorf("the proxy reset a call with the code %d", code)
}

// gotGoAway implements h2owner. Proxies say so after a number of requests; calls above last were not looked at and are made anew.
func (c *grpcClient) gotGoAway(last, code uint32) error {
	if code != 0 {
		return fmt.Errorf("the proxy ended a connection with the code %d", code)
	}
	if c.successor == nil {
		fd, err := dialSocket(c.g.spec.Target)
		if err != nil {
			return err
		}
		c.successor = c.g.newGRPC(fd)
		if err := c.poll.add(fd, c.successor.key); err != nil {
			return err
		}
	}
	for id, s := range c.streams {
		if id > last {
			moved := s.slot
			c.end(s)
			c.g.answered(moved)
			c.send(moved)
		}
	}
	return nil
}
