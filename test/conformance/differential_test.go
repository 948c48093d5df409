package conformance

import (
	"fmt"
	"maps"
	"os"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
)

// The fields that may differ, as one relay adds them and the other does not.
var (
	addedToRequests  = []string{"x-request-id", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"}
	addedToResponses = []string{"x-request-id"}
)

const (
	callsPerSeed = 300
	callers      = 6 // calls at once through each relay
	fixedSeed    = 1
)

// TestLikeGRPC makes calls through the gateway and through a relay that is grpc-go on both sides: neither clients nor servers may see a
// difference. One seed is always the same and the other new in each run; CONFORMANCE_SEED sets it, to look into a difference again.
func TestLikeGRPC(t *testing.T) {
	s, scripted := startScripted(t)
	aborting := startAborting(t)
	g := startGateway(t, penstockRace, quickStop+`pools:
  scripted: {endpoints: ["h2c://`+scripted+`"]}
  aborting: {endpoints: ["h2c://`+aborting+`"]}
routes:
  - match: {grpcService: `+abortingService+`}
    split: [{pool: aborting}]
  - split: [{pool: scripted}]
`)
	b := &bench{server: s, gateway: dial(t, g.addr), relay: dial(t, startRelay(t, scripted, aborting))}
	for _, seed := range []uint64{fixedSeed, chosenSeed(t)} {
		t.Run(fmt.Sprintf("calls of seed %d", seed), func(t *testing.T) { b.compareCalls(t, seed) })
	}
	t.Run("aborts", b.compareAborts)
}

func chosenSeed(t *testing.T) uint64 {
	text := os.Getenv("CONFORMANCE_SEED")
	if text == "" {
		return uint64(time.Now().UnixNano() >> 10 & 0xffffffff)
	}
	seed, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("cannot read CONFORMANCE_SEED: %v", err)
	}
	return seed
}

// bench is what calls are compared on.
type bench struct {
	server         *scriptedServer
	gateway, relay *grpc.ClientConn
}

func (b *bench) compareCalls(t *testing.T, seed uint64) {
	numbers := make(chan uint64)
	var running sync.WaitGroup
	for range callers {
		running.Go(func() {
			for n := range numbers {
				b.compareCall(t, newPlan(callID{seed, n}))
			}
		})
	}
	n := uint64(0)
	for ; n < callsPerSeed && !t.Failed(); n++ {
		numbers <- n
	}
	close(numbers)
	running.Wait()
	tell(t, "like grpc-go: %d calls of seed %d were compared", n, seed)
}

// compareCall makes a call through both relays at once.
func (b *bench) compareCall(t *testing.T, p *plan) {
	outcomes := make(chan *outcome)
	go func() { outcomes <- p.run(b.relay, "relay") }()
	got := p.run(b.gateway, "gateway")
	want := <-outcomes
	d := differ{ok: true}
	switch p.class() {
	case exact:
		d.outcomes(got, want)
		b.compareServed(&d, p)
	case cancelled:
		d.equal("code", got.code, want.code)
		d.equal("messages", got.messages, want.messages)
		d.equal("header", without(got.header, addedToResponses), without(want.header, nil))
		b.compareServed(&d, p)
	case timed:
		d.equal("code", got.code, want.code)
		if !d.ok {
			d.equal("status", got.status, want.status)
		}
	case raced:
		planned := codes.Code(p.status.Code)
		if got.code != codes.Canceled && want.code != codes.Canceled && got.code != planned {
			d.equal("code", got.code, want.code)
		}
	}
	if !d.ok {
		t.Errorf("%v, through the gateway and the relay:\n%s", p, d.text.String())
	}
}

// compareServed compares what the server saw.
func (b *bench) compareServed(d *differ, p *plan) {
	got, err := b.server.await(p.id.via("gateway"))
	if err == nil {
		var want *served
		if want, err = b.server.await(p.id.via("relay")); err == nil {
			d.servings(got, want)
			return
		}
	}
	d.equal("the server's part", err, nil)
}

// compareAborts compares what becomes of calls that the server ends as no gRPC server does. What such an answer has beside the status is of no
// interest, as grpc-go does not give it to its caller.
func (b *bench) compareAborts(t *testing.T) {
	for _, name := range slices.Sorted(maps.Keys(aborts)) {
		t.Run(name, func(t *testing.T) {
			got, want := abort(t, b.gateway, name), abort(t, b.relay, name)
			d := differ{ok: true}
			d.equal("messages", got.messages, want.messages)
			d.equal("status", got.status, want.status)
			if !d.ok {
				t.Error(d.text.String())
			}
		})
	}
}

// abort makes a call that the server aborts.
func abort(t *testing.T, conn *grpc.ClientConn, name string) *outcome {
	ctx, _ := receiving(t.Context())
	o := new(outcome)
	stream, err := conn.NewStream(ctx, &grpc.StreamDesc{ServerStreams: true}, "/"+abortingService+"/"+name, grpc.ForceCodecV2(rawCodec{}))
	if err == nil {
		message := []byte("hello")
		stream.SendMsg(&message)
		stream.CloseSend()
	}
	for err == nil {
		var message []byte
		if err = stream.RecvMsg(&message); err == nil {
			o.messages = append(o.messages, digest(message))
		}
	}
	o.setStatus(err)
	return o
}

// differ collects differences.
type differ struct {
	ok   bool
	text strings.Builder
}

func (d *differ) equal(what string, got, want any) {
	if reflect.DeepEqual(got, want) {
		return
	}
	d.ok = false
	fmt.Fprintf(&d.text, "  %s:\n    gateway %s\n    relay   %s\n", what, brief(got), brief(want))
}

// brief prints a value without flooding the log.
func brief(v any) string {
	s := fmt.Sprintf("%q", v)
	return s[:min(len(s), 3000)]
}

// outcomes compares what clients saw.
func (d *differ) outcomes(got, want *outcome) {
	d.equal("header", without(got.header, addedToResponses), without(want.header, nil))
	d.equal("trailer", without(got.trailer, addedToResponses), without(want.trailer, nil))
	d.equal("messages", got.messages, want.messages)
	d.equal("status", got.status, want.status)
	d.equal("encoding", got.encoding, want.encoding)
	d.equal("lengths", got.lengths, want.lengths)
}

// servings compares what servers saw.
func (d *differ) servings(got, want *served) {
	d.equal("request's metadata", without(got.metadata, addedToRequests), without(want.metadata, nil))
	d.equal("method", got.method, want.method)
	d.equal("deadline", got.deadline, want.deadline)
	d.equal("requests", got.messages, want.messages)
	d.equal("requests' encoding", got.encoding, want.encoding)
	d.equal("requests' lengths", got.lengths, want.lengths)
	d.equal("cancellation at the server", got.gone, want.gone)
}

// without returns the metadata but for some fields, and for the one that names the call. It can be printed, which metadata.MD hides from.
func without(md metadata.MD, fields []string) map[string][]string {
	rest := make(map[string][]string)
	for key, values := range md {
		if key != callField && !slices.Contains(fields, key) {
			rest[key] = values
		}
	}
	return rest
}
