package main

import (
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/keepalive"
)

// grpcLoad is a short load of one kind.
func grpcLoad(shape, kind string) loadSpec {
	self := []int{os.Getpid()}
	return loadSpec{Shape: shape, Kind: kind, Conns: 2, Calls: 3, Rate: 500, WarmUp: 20 * time.Millisecond, Window: 100 * time.Millisecond,
		Proxy: self, Backend: self, ProxyCores: []int{0}, LoadCores: []int{0}}
}

func TestGRPCLoadThroughRelays(t *testing.T) {
	for name, relay := range map[string]func(net.Listener, string) error{"TCP": relayTCP, "gRPC": relayGRPC} {
		t.Run(name, func(t *testing.T) {
			target := startRelay(t, protocolGRPC, relay)
			if err := probe(protocolGRPC, target.String()); err != nil {
				t.Fatal(err)
			}
			for _, spec := range []loadSpec{
				grpcLoad(shapeClosed, kindUnary), grpcLoad(shapeClosed, kindLarge), grpcLoad(shapeClosed, kindFlushed),
				grpcLoad(shapeClosed, kindSteps), grpcLoad(shapeOpen, kindUnary),
			} {
				spec.Target = target
				r := generateUnstarved(t, spec)
				if r.Failures > 0 || r.Requests == 0 || r.Events == 0 || r.P50 <= 0 || r.P99 < r.P50 || r.Proxy.CPU <= 0 {
					t.Errorf("%s, %s: %+v", spec.Shape, spec.Kind, r)
				}
			}
		})
	}
}

// relayAging is relayGRPC that asks its clients again and again, by GOAWAY, to open another connection.
func relayAging(listener net.Listener, backend string) error {
	upstream, err := grpc.NewClient("passthrough:///"+backend, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(rawCodec{})))
	if err != nil {
		return err
	}
	defer upstream.Close()
	server := grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.KeepaliveParams(keepalive.ServerParameters{MaxConnectionAge: 20 * time.Millisecond}),
		grpc.UnknownServiceHandler(func(_ any, downstream grpc.ServerStream) error { return relayCall(downstream, upstream) }))
	defer server.Stop()
	return server.Serve(listener)
}

func TestGoAwayMovesCallsToAnotherConnection(t *testing.T) {
	spec := grpcLoad(shapeClosed, kindUnary)
	spec.Target = startRelay(t, protocolGRPC, relayAging)
	poll, err := newEpoll()
	if err != nil {
		t.Fatal(err)
	}
	g := &generator{spec: spec, poll: poll, samples: newSamples(maxSamples)}
	defer g.close()
	if err := g.run(); err != nil {
		t.Fatal(err)
	}
	if g.result.Failures > 0 || g.outstanding > 0 || len(g.conns) <= spec.Conns {
		t.Errorf("%d connections were opened, want more than %d; %+v", len(g.conns), spec.Conns, g.result)
	}
	for i, s := range g.slots {
		if s.conn.(*grpcClient).key < spec.Conns {
			t.Errorf("slot %d still has its first connection", i)
		}
	}
}

// TestUnsentCallsMoveWithGoAway announces that of two calls only the first is looked at.
func TestUnsentCallsMoveWithGoAway(t *testing.T) {
	b, err := newBackend(protocolGRPC, []netip.AddrPort{loopback(0)})
	if err != nil {
		t.Fatal(err)
	}
	defer b.close()
	poll, err := newEpoll()
	if err != nil {
		t.Fatal(err)
	}
	g := &generator{spec: grpcLoad(shapeClosed, kindUnary), poll: poll, samples: newSamples(1)}
	g.spec.Target = b.addrs[0]
	defer g.close()
	slots, err := g.connect(plan{})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range slots {
		g.send(s)
	}
	c := g.conns[0].(*grpcClient)
	if _, err := c.feed(appendFrame(nil, frameGoAway, 0, 0, []byte{0, 0, 0, 1, 0, 0, 0, 0})); err != nil {
		t.Fatal(err)
	}
	if next := c.successor; len(c.streams) != 1 || c.streams[1] == nil || len(next.streams) != 2 || next.streams[3].id != 3 || g.outstanding != 3 {
		t.Errorf("%d calls stay, %d moved, and %d are outstanding, want 1, 2 and 3", len(c.streams), len(next.streams), g.outstanding)
	}
}

func TestGRPCFailuresEndTheLoad(t *testing.T) {
	for name, c := range map[string]struct {
		answer []byte
		want   string
	}{
		"HTTP/1.1": {badRequest, "more than the 16384 that are allowed"},
		"GOAWAY":   {appendFrame(nil, frameGoAway, 0, 0, []byte{0, 0, 0, 0, 0, 0, 0, 1}), "ended a connection with the code 1"},
		// The proxy leaves some of the calls unread.
		"reset": {nil, "connection reset by peer"},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go answerOnce(listener, c.answer)
			spec := loadSpec{Shape: shapeClosed, Kind: kindUnary, Conns: 1, Calls: 4, Target: netip.MustParseAddrPort(listener.Addr().String()), Window: time.Second}
			result, err := generate(spec)
			if err != nil {
				t.Fatal(err)
			}
			if result.Failures != 1 || !strings.Contains(result.Errors[0], c.want) {
				t.Errorf("failures are %d: %v, want %q", result.Failures, result.Errors, c.want)
			}
		})
	}
}

// TestBackendSpeaksOneOfTwoProtocols asks for another.
func TestBackendSpeaksOneOfTwoProtocols(t *testing.T) {
	if _, err := newBackend("gopher", nil); err == nil || !strings.Contains(err.Error(), `"gopher" is neither http nor grpc`) {
		t.Errorf("newBackend = %v", err)
	}
}
