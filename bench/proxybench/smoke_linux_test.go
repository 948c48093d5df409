package main

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

// startRelay runs a backend and a reference proxy in this process and returns the proxy's address.
func startRelay(t *testing.T, speaks protocol, relay func(net.Listener, string) error) netip.AddrPort {
	t.Helper()
	b, err := newBackend(speaks, []netip.AddrPort{loopback(0)})
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- b.serve() }()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	relayed := make(chan error, 1)
	go func() { relayed <- relay(listener, b.addrs[0].String()) }()
	t.Cleanup(func() {
		listener.Close()
		<-relayed
		b.stop()
		if err := <-served; err != nil {
			t.Errorf("the backend ended with %v", err)
		}
	})
	return netip.MustParseAddrPort(listener.Addr().String())
}

func TestLoadThroughRelay(t *testing.T) {
	target := startRelay(t, protocolHTTP, relayTCP)
	if err := probe(protocolHTTP, target.String()); err != nil {
		t.Fatal(err)
	}
	self := []int{os.Getpid()}
	common := loadSpec{Target: target, WarmUp: 20 * time.Millisecond, Window: 150 * time.Millisecond, Proxy: self, Backend: self,
		ProxyCores: []int{0}, LoadCores: []int{0}}
	for name, c := range map[string]struct {
		set   func(*loadSpec)
		check func(loadResult) bool
	}{
		"closed loop": {
			func(s *loadSpec) { s.Shape, s.Conns = shapeClosed, 8 },
			func(r loadResult) bool { return r.Requests > 0 && r.Proxy.CPU > 0 },
		},
		"open loop": {
			func(s *loadSpec) { s.Shape, s.Conns, s.Rate = shapeOpen, 4, 500 },
			func(r loadResult) bool { return r.Requests > 0 && r.P50 > 0 && r.P99 >= r.P50 },
		},
		"paced": {
			func(s *loadSpec) {
				s.Shape, s.Kind, s.Conns, s.Interval = shapeStream, kindPaced, 10, 5*time.Millisecond
			},
			func(r loadResult) bool { return r.Events > 0 && r.P50 > 0 },
		},
		"burst": {
			func(s *loadSpec) { s.Shape, s.Kind, s.Conns, s.Events = shapeStream, kindBurst, 4, 500 },
			func(r loadResult) bool { return r.Events > 0 },
		},
		"hold": {
			func(s *loadSpec) { s.Shape, s.Kind, s.Conns = shapeHold, kindHold, 150 },
			func(r loadResult) bool { return r.Streams == 150 && r.Open.RSS > 0 && r.Open.PSS > 0 },
		},
	} {
		t.Run(name, func(t *testing.T) {
			spec := common
			c.set(&spec)
			result := generateUnstarved(t, spec)
			if result.Failures > 0 || !c.check(result) {
				t.Errorf("got %+v", result)
			}
		})
	}
}

// generateUnstarved runs the load, with ever longer windows while the machine is too busy for anything to happen in one.
func generateUnstarved(t *testing.T, spec loadSpec) loadResult {
	t.Helper()
	for {
		result, err := generate(spec)
		if err != nil {
			t.Fatal(err)
		}
		starved := slices.ContainsFunc(result.Errors, func(e string) bool { return e == errEmptyWindow.Error() || e == errNoWindow.Error() })
		if !starved || spec.Window > 5*time.Second {
			return result
		}
		spec.Window *= 3
	}
}

// TestLoadThatEndsEarlyIsInvalid settles a load whose streams have all ended while the window is still open.
func TestLoadThatEndsEarlyIsInvalid(t *testing.T) {
	g := &generator{spec: loadSpec{Shape: shapeStream, Kind: kindPaced}, samples: newSamples(1), events: 10}
	g.window.began, g.window.first.at = true, now()
	g.settle()
	if r := g.result; r.Failures != 1 || r.Errors[0] != errNoWindow.Error() || r.Events != 0 || r.Nanos != 0 {
		t.Errorf("got %+v, want one failure and no figures", r)
	}
}

func TestEmptyWindowIsInvalid(t *testing.T) {
	for shape, want := range map[string]int{shapeClosed: 1, shapeStream: 1, shapeHold: 0} {
		g := &generator{spec: loadSpec{Shape: shape}, samples: newSamples(1)}
		g.window.began, g.window.ended, g.window.last.at = true, true, 1
		g.settle()
		if g.result.Failures != want {
			t.Errorf("%s: %d failures, want %d", shape, g.result.Failures, want)
		}
	}
}

// TestWrongAnswersAreNoticed puts a proxy that spoils answers between generator and backend's place.
func TestWrongAnswersAreNoticed(t *testing.T) {
	spoiled := append([]byte(nil), jsonReply...)
	spoiled[len(spoiled)-1] ^= 1
	for name, c := range map[string]struct {
		answer []byte
		want   string
	}{
		"spoiled body": {spoiled, "body of a response differs"},
		"error status": {badRequest, `answered "HTTP/1.1 400 Bad Request"`},
		"closed":       {nil, "closed the connection"},
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go answerOnce(listener, c.answer)
			spec := loadSpec{Shape: shapeClosed, Conns: 1, Target: netip.MustParseAddrPort(listener.Addr().String()), Window: time.Second}
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

// answerOnce reads a request from the first connection, answers it with answer and closes.
func answerOnce(listener net.Listener, answer []byte) {
	conn, err := listener.Accept()
	if err != nil {
		return
	}
	defer conn.Close()
	request := make([]byte, len(plan{Kind: kindJSON}.request()))
	if _, err := conn.Read(request); err == nil && answer != nil {
		_, _ = conn.Write(answer)
	}
}

func TestBackendRefusesChangedRequest(t *testing.T) {
	target := startRelay(t, protocolHTTP, relayTCP)
	conn, err := net.Dial("tcp", target.String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(2 * time.Second))
	request := plan{Kind: kindJSON}.request()
	request[len(request)-1] ^= 1
	if _, err := conn.Write(request); err != nil {
		t.Fatal(err)
	}
	answer := make([]byte, 1024)
	n, _ := conn.Read(answer)
	if !strings.HasPrefix(string(answer[:n]), "HTTP/1.1 400 ") {
		t.Errorf("the backend answered %q, want 400", answer[:n])
	}
}

func TestFirstDueSpreadsStreams(t *testing.T) {
	const interval = 10_000 // microseconds
	seen := map[int64]bool{}
	for index := range 100 {
		now := int64(1_700_000_000_003_500_000)
		due := firstDue(plan{Kind: kindPaced, Interval: interval, Streams: 100, Index: index}, now)
		if due <= now || due > now+interval*1000 {
			t.Errorf("stream %d is due %d ns from now", index, due-now)
		}
		seen[due] = true
	}
	if len(seen) != 100 {
		t.Errorf("100 streams are due at %d different times", len(seen))
	}
}
