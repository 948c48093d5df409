package conformance

import (
	"context"
	"sync"

	"google.golang.org/grpc"
	"google.golang.org/grpc/encoding/gzip"
	"google.golang.org/grpc/stats"
)

// received is what gRPC tells only its statistics about what one side of a call received.
type received struct {
	headed   chan struct{} // closed once the head was recorded, which a client may otherwise know before its statistics do
	mu       sync.Mutex
	encoding string // grpc-encoding
	lengths  []int  // of the messages as they came, compressed or not, in bytes
}

func (r *received) get() (encoding string, lengths []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.encoding, append([]int(nil), r.lengths...)
}

type receivedKey struct{}

// receiving returns a context for a call whose statistics are kept.
func receiving(ctx context.Context) (context.Context, *received) {
	r := &received{headed: make(chan struct{})}
	return context.WithValue(ctx, receivedKey{}, r), r
}

func receivedBy(ctx context.Context) *received { return ctx.Value(receivedKey{}).(*received) }

// statistics keeps what was received, on either side.
type statistics struct{}

var _ stats.Handler = statistics{}

// TagRPC makes a record for a server's call; a client has made it itself.
func (statistics) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context {
	if _, ok := ctx.Value(receivedKey{}).(*received); !ok {
		ctx, _ = receiving(ctx)
	}
	return ctx
}

// HandleRPC records heads and messages.
func (statistics) HandleRPC(ctx context.Context, s stats.RPCStats) {
	r := receivedBy(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	switch s := s.(type) {
	case *stats.InHeader:
		r.encoding = s.Compression
		close(r.headed)
	case *stats.InPayload:
		r.lengths = append(r.lengths, s.CompressedLength)
	}
}

// TagConn is of no interest.
func (statistics) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }

// HandleConn is of no interest.
func (statistics) HandleConn(context.Context, stats.ConnStats) {}

// answerIn makes a server answer in an encoding: "" is none.
func answerIn(ctx context.Context, encoding string) error {
	if encoding == "" {
		encoding = "identity"
	}
	return grpc.SetSendCompressor(ctx, encoding)
}

func zipped(yes bool) string {
	if yes {
		return gzip.Name
	}
	return ""
}
