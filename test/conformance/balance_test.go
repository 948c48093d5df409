package conformance

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/resolver"
	"google.golang.org/grpc/resolver/manual"
)

// counted is a gRPC server that answers every call with its message, and counts them.
type counted struct {
	*grpc.Server
	addr   string
	calls  atomic.Int64
	marked chan struct{} // gets a value when a call has the field mark; others that come before it is taken are not told
}

// mark is a field that a gateway adds, so that its calls can be told from those of another one.
const mark = "x-mark"

func startCounted(t testing.TB) *counted {
	c := &counted{marked: make(chan struct{}, 1)}
	c.Server = grpc.NewServer(grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(func(_ any, s grpc.ServerStream) error {
		c.calls.Add(1)
		if md, _ := metadata.FromIncomingContext(s.Context()); len(md[mark]) > 0 {
			select {
			case c.marked <- struct{}{}:
			default:
			}
		}
		var message []byte
		if err := s.RecvMsg(&message); err != nil {
			return err
		}
		return s.SendMsg(&message)
	}))
	c.addr = startGRPC(t, c.Server)
	return c
}

func startBackends(t testing.TB) (backends []*counted, pool string) {
	var urls []string
	for range 3 {
		c := startCounted(t)
		backends = append(backends, c)
		urls = append(urls, "'h2c://"+c.addr+"'")
	}
	return backends, "endpoints: [" + strings.Join(urls, ", ") + "]"
}

func callOnce(ctx context.Context, conn *grpc.ClientConn) error {
	ctx, _ = receiving(ctx)
	message, answer := []byte("hello"), []byte(nil)
	if err := conn.Invoke(ctx, "/models.Generator/Say", &message, &answer, grpc.ForceCodecV2(rawCodec{})); err != nil {
		return err
	}
	if string(answer) != "hello" {
		return fmt.Errorf("the answer is %q", answer)
	}
	return nil
}

// load makes calls until it is stopped.
type load struct {
	done   atomic.Int64 // calls that succeeded
	marks  chan struct{}
	stop   chan struct{}
	ended  sync.WaitGroup
	failed chan error
}

// startLoad makes calls from as many goroutines as given.
func startLoad(t testing.TB, conn *grpc.ClientConn, callers int) *load {
	l := &load{marks: make(chan struct{}, 1), stop: make(chan struct{}), failed: make(chan error, callers)}
	for range callers {
		l.ended.Go(func() { l.run(conn) })
	}
	t.Cleanup(func() { l.finish(t) })
	return l
}

func (l *load) run(conn *grpc.ClientConn) {
	for {
		select {
		case <-l.stop:
			return
		default:
		}
		if err := callOnce(context.Background(), conn); err != nil {
			l.failed <- err
			return
		}
		l.done.Add(1)
		select {
		case l.marks <- struct{}{}:
		default:
		}
	}
}

// await waits until n more calls have succeeded.
func (l *load) await(t testing.TB, n int64) {
	t.Helper()
	for until := l.done.Load() + n; l.done.Load() < until; {
		select {
		case <-l.marks:
		case err := <-l.failed:
			t.Fatalf("a call failed: %v", err)
		}
	}
}

// finish ends the load. No call may have failed.
func (l *load) finish(t testing.TB) {
	t.Helper()
	select {
	case <-l.stop:
		return
	default:
	}
	close(l.stop)
	l.ended.Wait()
	close(l.failed)
	for err := range l.failed {
		t.Errorf("a call failed: %v", err)
	}
	tell(t, "load: %d calls succeeded", l.done.Load())
}

// A client has one connection, and each of its calls is balanced by itself.
func TestCallsAreSpread(t *testing.T) {
	backends, pool := startBackends(t)
	for _, policy := range []string{"round-robin", "least-outstanding", "power-of-two"} {
		t.Run(policy, func(t *testing.T) {
			g := startGateway(t, penstock, quickStop+"pools: {only: {"+pool+", balance: "+policy+"}}")
			for _, b := range backends {
				b.calls.Store(0)
			}
			const perBackend = 200
			var callers sync.WaitGroup
			conn, left := dial(t, g.addr), atomic.Int64{}
			left.Store(perBackend * int64(len(backends)))
			for range 6 {
				callers.Go(func() {
					for left.Add(-1) >= 0 {
						if err := callOnce(t.Context(), conn); err != nil {
							t.Error(err)
						}
					}
				})
			}
			callers.Wait()
			for i, b := range backends {
				n := b.calls.Load()
				if most := int64(perBackend / 2); n < perBackend-most || n > perBackend+most || policy == "round-robin" && n != perBackend {
					t.Errorf("backend %d got %d calls of %d", i, n, perBackend*len(backends))
				}
			}
		})
	}
}

// A backend that stops gracefully finishes the calls that it has, and the others get those that it does not take any more.
func TestBackendStopsUnderLoad(t *testing.T) {
	backends, pool := startBackends(t)
	g := startGateway(t, penstock, quickStop+"pools: {only: {"+pool+"}}")
	l := startLoad(t, dial(t, g.addr), 8)
	l.await(t, 300)
	backends[0].GracefulStop()
	l.await(t, 2000)
	l.finish(t)
}

// A gateway of two is restarted, as a rolling update does it.
func TestGatewayRestartsUnderLoad(t *testing.T) {
	backends, pool := startBackends(t)
	options := "shutdown: {lameDuck: 300ms, drain: 10s}\npools: {only: {" + pool + "}}"
	stays, restarted := startGateway(t, penstock, options), startGateway(t, penstock, options)
	addresses := manual.NewBuilderWithScheme("both")
	addresses.InitialState(resolver.State{Addresses: []resolver.Address{{Addr: stays.addr}, {Addr: restarted.addr}}})
	conn := dialTarget(t, "both:///", grpc.WithResolvers(addresses), grpc.WithDefaultServiceConfig(`{"loadBalancingConfig": [{"round_robin": {}}]}`))
	l := startLoad(t, conn, 8)
	l.await(t, 300)
	restarted.stopped = true
	restarted.signal(t, syscall.SIGTERM)
	if code := restarted.exitCode(t); code != 0 {
		t.Errorf("the gateway ended with code %d; it said:\n%s", code, restarted.said)
	}
	l.await(t, 300)
	startGatewayAt(t, penstock, restarted.addr, options+"\nroutes: [{split: [{pool: only}], requestHeaders: {set: {"+mark+": again}}}]")
	select {
	case <-backends[0].marked:
	case <-time.After(patience):
		t.Error("no call has come through the gateway that was started again")
	}
	l.finish(t)
}
