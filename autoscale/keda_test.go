package autoscale

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	"github.com/penstock/penstock/autoscale/externalscaler"
)

// kedaClient asks as KEDA does.
type kedaClient struct {
	t    *testing.T
	ctx  context.Context
	conn *grpc.ClientConn
}

func dialKEDA(t *testing.T, r *replica) *kedaClient {
	t.Helper()
	conn, err := grpc.NewClient(r.KEDAAddr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(func() { cancel(); conn.Close() })
	return &kedaClient{t, ctx, conn}
}

func ask[Response any](k *kedaClient, method string, in any) (*Response, error) {
	out := new(Response)
	return out, k.conn.Invoke(k.ctx, "/"+externalscaler.Name+"/"+method, in, out)
}

func scaled(namespace string, metadata ...string) *externalscaler.ScaledObjectRef {
	ref := &externalscaler.ScaledObjectRef{Name: "llama", Namespace: namespace, ScalerMetadata: map[string]string{}}
	for i := 0; i < len(metadata); i += 2 {
		ref.ScalerMetadata[metadata[i]] = metadata[i+1]
	}
	return ref
}

// stream opens a StreamIsActive, and returns what the next word of it is.
func (k *kedaClient) stream(ref *externalscaler.ScaledObjectRef) (next func() (bool, error), cancel func()) {
	k.t.Helper()
	ctx, cancel := context.WithCancel(k.ctx)
	s, err := k.conn.NewStream(ctx, &externalscaler.Desc.Streams[0], "/"+externalscaler.Name+"/StreamIsActive")
	if err == nil {
		err = s.SendMsg(ref)
	}
	if err == nil {
		err = s.CloseSend()
	}
	if err != nil {
		k.t.Fatal(err)
	}
	return func() (bool, error) {
		out := new(externalscaler.IsActiveResponse)
		err := s.RecvMsg(out)
		return out.GetResult(), err
	}, cancel
}

func TestKEDAReadsMetrics(t *testing.T) {
	f := newFleet(t)
	a, b := f.start(3), f.start(4)
	a.awaitOutstanding("7")
	b.awaitOutstanding("7")
	k := dialKEDA(t, a)
	for _, c := range []struct {
		ref    *externalscaler.ScaledObjectRef
		metric string
		target float64
		value  float64
		active bool
	}{
		{scaled("models", "pool", "llama", "target", "48"), "penstock_outstanding_requests", 48, 7, true},
		{scaled("models", "pool", "llama", "target", "48", "activation", "7"), "penstock_outstanding_requests", 48, 7, false},
		{scaled("models", "pool", "llama", "target", "0.7", "metric", "penstock_kv_cache_utilization", "activation", "1.2"), "penstock_kv_cache_utilization", 0.7, 1.25, true},
		{scaled("penstock", "pool", "files", "target", "1e3"), "penstock_outstanding_requests", 1000, 70, true},
		{scaled("models", "pool", "llama", "target", "700m", "activation", "7k"), "penstock_outstanding_requests", 0.7, 7, false},
	} {
		spec, err := ask[externalscaler.GetMetricSpecResponse](k, "GetMetricSpec", c.ref)
		if err != nil {
			t.Fatal(err)
		}
		if s := spec.GetMetricSpecs()[0]; len(spec.GetMetricSpecs()) != 1 || s.GetMetricName() != c.metric || s.GetTargetSizeFloat() != c.target || s.GetTargetSize() < 1 {
			t.Errorf("%v: spec %v", c.ref, spec)
		}
		values, err := ask[externalscaler.GetMetricsResponse](k, "GetMetrics", &externalscaler.GetMetricsRequest{ScaledObjectRef: c.ref, MetricName: c.metric})
		if err != nil {
			t.Fatal(err)
		}
		if v := values.GetMetricValues()[0]; v.GetMetricName() != c.metric || v.GetMetricValueFloat() != c.value || v.GetMetricValue() < int64(c.value) {
			t.Errorf("%v: values %v", c.ref, values)
		}
		active, err := ask[externalscaler.IsActiveResponse](k, "IsActive", c.ref)
		if err != nil || active.GetResult() != c.active {
			t.Errorf("%v: active %v %v", c.ref, active, err)
		}
	}
	if a.count("keda OK") != 15 {
		t.Errorf("answers are counted as %v", a.counted)
	}
}

func TestKEDAIsToldWhatIsWrong(t *testing.T) {
	f := newFleet(t)
	a := f.start(3)
	a.awaitOutstanding("3")
	k := dialKEDA(t, a)
	for want, ref := range map[string]*externalscaler.ScaledObjectRef{
		`pool: there is no pool "" in namespace models; want one of llama (service llama-8b).`: scaled("models", "target", "1"),
		`pool: there is no pool "files" in namespace models; want one of llama`:                scaled("models", "pool", "files", "target", "1"),
		`pool: there is no pool "llama" in namespace ; want one of none`:                       scaled("", "pool", "llama", "target", "1"),
		`metric: there is no metric "queue"; want one of penstock_outstanding_requests, `:      scaled("models", "pool", "llama", "target", "1", "metric", "queue"),
		`target: "" is not a number above 0`:                                                   scaled("models", "pool", "llama"),
		`target: "0" is not a number above 0`:                                                  scaled("models", "pool", "llama", "target", "0"),
		`target: "-700m" is not a number above 0`:                                              scaled("models", "pool", "llama", "target", "-700m"),
		`target: "many" is not a number above 0`:                                               scaled("models", "pool", "llama", "target", "many"),
		`target: "NaN" is not a number above 0`:                                                scaled("models", "pool", "llama", "target", "NaN"),
		`target: "1e16" is not a number above 0`:                                               scaled("models", "pool", "llama", "target", "1e16"),
		`activation: "-1" is not a number from 0 on`:                                           scaled("models", "pool", "llama", "target", "1", "activation", "-1"),
		`activation: "" is not a number from 0 on`:                                             scaled("models", "pool", "llama", "target", "1", "activation", ""),
	} {
		next, cancel := k.stream(ref)
		_, inStream := next()
		cancel()
		_, inMetrics := ask[externalscaler.GetMetricsResponse](k, "GetMetrics", &externalscaler.GetMetricsRequest{ScaledObjectRef: ref})
		_, inSpec := ask[externalscaler.GetMetricSpecResponse](k, "GetMetricSpec", ref)
		_, inActive := ask[externalscaler.IsActiveResponse](k, "IsActive", ref)
		for _, err := range []error{inStream, inMetrics, inSpec, inActive} {
			if status.Code(err) != codes.InvalidArgument || !strings.HasPrefix(status.Convert(err).Message(), want) {
				t.Errorf("got %v, want %s", err, want)
			}
		}
	}
	if _, err := ask[externalscaler.IsActiveResponse](k, "IsActive", &externalscaler.ScaledObjectRef{}); status.Code(err) != codes.InvalidArgument {
		t.Errorf("nothing at all: %v", err)
	}
	_, err := ask[externalscaler.GetMetricSpecResponse](k, "StreamMetricSpec", scaled("models"))
	if status.Code(err) != codes.Unimplemented {
		t.Errorf("KEDA does without StreamMetricSpec only where it is unimplemented: %v", err)
	}
}

// TestKEDAIsWoken has requests begin and end in another replica.
func TestKEDAIsWoken(t *testing.T) {
	f := newFleet(t)
	a, b := f.start(0), f.start(0)
	a.awaitOutstanding("0")
	k := dialKEDA(t, a)
	next, cancel := k.stream(scaled("models", "pool", "llama", "target", "48"))
	tell := func(what string, want bool) {
		t.Helper()
		if got, err := next(); err != nil || got != want {
			t.Fatalf("%s: active %v, %v", what, got, err)
		}
	}
	tell("at first", false)
	b.set(1)
	tell("a request in another replica", true)
	a.set(1)
	a.awaitOutstanding("2")
	b.set(0)
	a.awaitOutstanding("1")
	a.set(0)
	tell("all are done", false)
	a.set(3)
	tell("a request here", true)
	cancel()
	if _, err := next(); status.Code(err) != codes.Canceled {
		t.Errorf("a stream that is left ends with %v", err)
	}
	await(t, func() bool { return a.count("keda Canceled") == 1 }, func() string { return "the gateway does not notice" })

	next, _ = k.stream(scaled("models", "pool", "llama", "target", "48"))
	tell("again", true)
	a.Close()
	// KEDA begins a stream that ended by an error again after twice the time that it waited before, up to a minute, and one that ended well after 2 s.
	if _, err := next(); !errors.Is(err, io.EOF) {
		t.Errorf("a stream ends with the gateway as %v", err)
	}
}

func TestKEDAIsToldNothingThatIsNotKnown(t *testing.T) {
	f := newFleet(t)
	a, b := f.start(2), f.startUnlisted(3)
	a.awaitOutstanding("2")
	address := b.Addr().String()
	b.Close()
	f.list(b, true)
	a.awaitOutstanding("503 1 of the gateway's replicas have never answered this one: " + address)
	k := dialKEDA(t, a)
	ref := scaled("models", "pool", "llama", "target", "48", "activation", "4")
	_, inMetrics := ask[externalscaler.GetMetricsResponse](k, "GetMetrics", &externalscaler.GetMetricsRequest{ScaledObjectRef: ref})
	_, inActive := ask[externalscaler.IsActiveResponse](k, "IsActive", ref)
	for _, err := range []error{inMetrics, inActive} {
		if status.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "have never answered this one: "+address) {
			t.Errorf("got %v", err)
		}
	}
	if _, err := ask[externalscaler.GetMetricSpecResponse](k, "GetMetricSpec", ref); err != nil {
		t.Errorf("what does not depend on it: %v", err)
	}
	// The stream is silent until all is known, and then says what is.
	next, cancel := k.stream(ref)
	defer cancel()
	f.startUnlisted(3, func(o *Options) { o.Config.Listen = address })
	if active, err := next(); err != nil || !active {
		t.Errorf("active %v, %v", active, err)
	}
}
