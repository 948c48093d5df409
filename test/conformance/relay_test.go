package conformance

import (
	"context"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
)

// relay is what the gateway is compared with: a relay of messages that is grpc-go on both sides.
type relay struct {
	scripted, aborting *grpc.ClientConn
}

// authority is what clients call the server; no relay is to change it.
const authority = "models.test"

// dial connects to a relay, or to a server.
func dial(t testing.TB, addr string) *grpc.ClientConn {
	t.Helper()
	return dialTarget(t, "passthrough:///"+addr)
}

func dialTarget(t testing.TB, target string, options ...grpc.DialOption) *grpc.ClientConn {
	t.Helper()
	conn, err := grpc.NewClient(target, append([]grpc.DialOption{
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithAuthority(authority),
		grpc.WithUserAgent("conformance"),
		grpc.WithStatsHandler(statistics{}),
		grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16 << 20)),
	}, options...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// startRelay starts a relay and returns its address.
func startRelay(t testing.TB, scripted, aborting string) string {
	r := &relay{dial(t, scripted), dial(t, aborting)}
	return startGRPC(t, grpc.NewServer(
		grpc.ForceServerCodecV2(rawCodec{}), grpc.UnknownServiceHandler(r.serve), grpc.StatsHandler(statistics{}), grpc.MaxRecvMsgSize(16<<20)))
}

// serve relays one call.
func (r *relay) serve(_ any, in grpc.ServerStream) error {
	ctx, cancel := context.WithCancel(in.Context())
	defer cancel()
	out, answer, err := r.call(ctx)
	if err != nil {
		return err
	}
	go relayRequests(in, out)
	defer func() { in.SetTrailer(out.Trailer()) }()
	header, err := out.Header()
	if err != nil {
		return err
	}
	if len(header) > 0 { // else the trailers are all that comes
		select {
		case <-answer.headed:
		case <-ctx.Done():
			return ctx.Err()
		}
		encoding, _ := answer.get()
		if err := answerIn(in.Context(), encoding); err != nil {
			return err
		}
		if err := in.SendHeader(header); err != nil {
			return err
		}
	}
	for {
		var message []byte
		switch err := out.RecvMsg(&message); {
		case err == io.EOF:
			return nil
		case err != nil:
			return err
		}
		if err := in.SendMsg(&message); err != nil {
			return err
		}
	}
}

// call makes the call that a relayed one continues. answer is about its responses.
func (r *relay) call(ctx context.Context) (out grpc.ClientStream, answer *received, err error) {
	method, _ := grpc.Method(ctx)
	conn := r.scripted
	if strings.HasPrefix(method, "/"+abortingService+"/") {
		conn = r.aborting
	}
	md, _ := metadata.FromIncomingContext(ctx)
	md = md.Copy()
	subtype := strings.TrimPrefix(strings.TrimPrefix(md["content-type"][0], "application/grpc"), "+")
	delete(md, "grpc-accept-encoding") // which grpc-go adds itself
	encoding, _ := receivedBy(ctx).get()
	options := []grpc.CallOption{grpc.ForceCodecV2(rawCodec{}), grpc.CallContentSubtype(subtype)}
	if encoding != "" {
		options = append(options, grpc.UseCompressor(encoding))
	}
	ctx, answer = receiving(metadata.NewOutgoingContext(ctx, md))
	out, err = conn.NewStream(ctx, &grpc.StreamDesc{ClientStreams: true, ServerStreams: true}, method, options...)
	return out, answer, err
}

// relayRequests relays what the client sends, until its end or the call's.
func relayRequests(in grpc.ServerStream, out grpc.ClientStream) {
	for {
		var message []byte
		if err := in.RecvMsg(&message); err != nil {
			if err == io.EOF {
				out.CloseSend()
			}
			return
		}
		if out.SendMsg(&message) != nil {
			return
		}
	}
}
