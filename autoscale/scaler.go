package autoscale

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/keepalive"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/penstock/penstock/autoscale/externalscaler"
)

// activePause is how often a stream looks at this replica's own requests; it looks at once when another replica has told its own.
const activePause = 500 * time.Millisecond

// wakePause is the shortest time between two looks of a stream: replicas answer one after the other, and each look reads the loads of all pools.
const wakePause = 100 * time.Millisecond

// maxKEDAConnections bounds the connections to KEDA's port, whose clients cannot be told from others.
const maxKEDAConnections = 1024

// scaler is KEDA's external-push scaler.
type scaler struct {
	answers *answers
	every   time.Duration
	stopped <-chan struct{} // closed when the gateway stops
}

// trigger is what a ScaledObject asks for.
type trigger struct {
	pool   Load
	metric *metric
	// target is the metric's value per replica of the model server. Above activation there is something to do.
	target, activation float64
}

func (s *Server) newScalerServer() *grpc.Server {
	server := grpc.NewServer(
		grpc.MaxRecvMsgSize(64<<10),
		grpc.MaxConcurrentStreams(1000),
		grpc.ConnectionTimeout(requestTimeout),
		grpc.KeepaliveEnforcementPolicy(keepalive.EnforcementPolicy{MinTime: 5 * time.Second, PermitWithoutStream: true}),
		grpc.KeepaliveParams(keepalive.ServerParameters{Time: time.Minute, Timeout: 20 * time.Second}),
		grpc.UnaryInterceptor(func(ctx context.Context, in any, _ *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
			out, err := next(ctx, in)
			s.options.Requested("keda", status.Code(err).String())
			return out, err
		}),
		grpc.StreamInterceptor(func(service any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, next grpc.StreamHandler) error {
			err := next(service, stream)
			s.options.Requested("keda", status.Code(err).String())
			return err
		}),
	)
	server.RegisterService(&externalscaler.Desc, &scaler{s.answers, s.options.times.active, s.ctx.Done()})
	return server
}

// scalerStop is how long KEDA has to take the end of its streams.
const scalerStop = time.Second

// stopScaler ends a server whose streams are ending by themselves: so that clients learn how, it waits for them, but not for those that do not read.
func stopScaler(server *grpc.Server) {
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		server.GracefulStop()
	}()
	late := time.NewTimer(scalerStop)
	defer late.Stop()
	select {
	case <-stopped:
	case <-late.C:
		server.Stop()
		<-stopped
	}
}

// IsActive says whether there is something to do.
func (s *scaler) IsActive(_ context.Context, ref *externalscaler.ScaledObjectRef) (*externalscaler.IsActiveResponse, error) {
	t, err := s.trigger(ref)
	if err != nil {
		return nil, err
	}
	v, err := s.value(t)
	if err != nil {
		return nil, err
	}
	return &externalscaler.IsActiveResponse{Result: v > t.activation}, nil
}

// StreamIsActive says whether there is something to do, as soon as that is known and whenever it changes, until the client leaves or the gateway
// stops, which ends it without an error. While it is not known it says nothing.
func (s *scaler) StreamIsActive(ref *externalscaler.ScaledObjectRef, stream externalscaler.ActiveStream) error {
	t, err := s.trigger(ref)
	if err != nil {
		return err
	}
	ticker := time.NewTicker(s.every)
	defer ticker.Stop()
	told, active := false, false
	for {
		changed := s.answers.peers.next()
		if v, err := s.value(t); err == nil && (!told || v > t.activation != active) {
			told, active = true, v > t.activation
			if err := stream.Send(&externalscaler.IsActiveResponse{Result: active}); err != nil {
				return err
			}
		}
		select {
		case <-stream.Context().Done():
			return status.FromContextError(stream.Context().Err()).Err()
		case <-s.stopped:
			return nil // KEDA waits longer after each stream that ends by an error, and begins at 2 s again after one that ends well
		case <-changed:
			select {
			case <-time.After(wakePause):
			case <-stream.Context().Done():
			case <-s.stopped:
			}
		case <-ticker.C:
		}
	}
}

// GetMetricSpec says what an HPA is to hold the metric to.
func (s *scaler) GetMetricSpec(_ context.Context, ref *externalscaler.ScaledObjectRef) (*externalscaler.GetMetricSpecResponse, error) {
	t, err := s.trigger(ref)
	if err != nil {
		return nil, err
	}
	return &externalscaler.GetMetricSpecResponse{MetricSpecs: []*externalscaler.MetricSpec{{
		MetricName: t.metric.name, TargetSize: int64(math.Ceil(t.target)), TargetSizeFloat: t.target,
	}}}, nil
}

// GetMetrics gives the metric's value, under the name that was asked for.
func (s *scaler) GetMetrics(_ context.Context, r *externalscaler.GetMetricsRequest) (*externalscaler.GetMetricsResponse, error) {
	t, err := s.trigger(r.GetScaledObjectRef())
	if err != nil {
		return nil, err
	}
	v, err := s.value(t)
	if err != nil {
		return nil, err
	}
	return &externalscaler.GetMetricsResponse{MetricValues: []*externalscaler.MetricValue{{
		MetricName: r.GetMetricName(), MetricValue: int64(math.Ceil(v)), MetricValueFloat: v,
	}}}, nil
}

// value is the trigger's metric over all replicas of the gateway. The pool's own numbers are read anew.
func (s *scaler) value(t *trigger) (float64, error) {
	for _, l := range s.answers.in(t.pool.Namespace) {
		if l.Pool == t.pool.Pool {
			v, err := s.answers.value(t.metric, &l)
			if err != nil {
				return 0, status.Error(codes.Unavailable, err.Error())
			}
			return v, nil
		}
	}
	return 0, status.Errorf(codes.Unavailable, "pool %s is no longer there", t.pool.Pool)
}

// trigger reads what a ScaledObject says of its trigger. The error, a status, names the key that is wrong and what would be right.
func (s *scaler) trigger(ref *externalscaler.ScaledObjectRef) (*trigger, error) {
	metadata, seen := ref.GetScalerMetadata(), s.answers.in(ref.GetNamespace())
	t := &trigger{metric: findMetric(defaultMetric)}
	found := false
	for _, l := range seen {
		if l.Pool == metadata["pool"] {
			t.pool, found = l, true
		}
	}
	if !found {
		return nil, status.Errorf(codes.InvalidArgument, "pool: there is no pool %q in namespace %s; want one of %s. "+
			"A pool is of its Service's namespace, or else of the gateway's", clip(metadata["pool"]), clip(ref.GetNamespace()), describe(seen))
	}
	if name, ok := metadata["metric"]; ok {
		if t.metric = findMetric(name); t.metric == nil {
			return nil, status.Errorf(codes.InvalidArgument, "metric: there is no metric %q; want one of %s", clip(name), someOf(Metrics))
		}
	}
	var err error
	if t.target, err = number(metadata["target"]); err != nil || t.target <= 0 {
		return nil, status.Errorf(codes.InvalidArgument, "target: %q is not a number above 0; want the metric's value per replica of the model server, such as \"48\"",
			clip(metadata["target"]))
	}
	if text, ok := metadata["activation"]; ok {
		if t.activation, err = number(text); err != nil || t.activation < 0 {
			return nil, status.Errorf(codes.InvalidArgument, "activation: %q is not a number from 0 on; above it there is something to do", clip(text))
		}
	}
	return t, nil
}

// errNotFinite says that a number is none to calculate with.
var errNotFinite = errors.New("not a finite number")

// number reads a number as Go writes it, or as Kubernetes does: 700m is 0.7 and 100k is 100,000, as in the targets of HPAs.
func number(text string) (float64, error) {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		quantity, wrong := resource.ParseQuantity(text)
		if wrong != nil {
			return 0, fmt.Errorf("cannot read a number: %w", err)
		}
		// By its decimal digits: AsApproximateFloat64 makes 0.7000000000000001 of 700m.
		if v, err = strconv.ParseFloat(quantity.AsDec().String(), 64); err != nil {
			return 0, fmt.Errorf("cannot read a number: %w", err)
		}
	}
	if math.IsInf(v, 0) || math.IsNaN(v) || math.Abs(v) > 1e15 {
		return 0, errNotFinite
	}
	return v, nil
}
