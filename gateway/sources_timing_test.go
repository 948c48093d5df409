package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"runtime"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/penstock/penstock/discovery/kube"
	"github.com/penstock/penstock/discovery/kube/kubetest"
)

const (
	manyEndpoints = 10_000
	sliceSize     = 100 // as Kubernetes fills them
)

// manySlice is one of the slices of a large Service. Of its endpoints the one at unready, if there is one, is not ready.
func manySlice(n, unready int) *discoveryv1.EndpointSlice {
	s := &discoveryv1.EndpointSlice{
		ObjectMeta:  metav1.ObjectMeta{Namespace: "models", Name: fmt.Sprintf("llama-%d", n), Labels: map[string]string{discoveryv1.LabelServiceName: "llama"}},
		AddressType: discoveryv1.AddressTypeIPv4,
		Ports:       []discoveryv1.EndpointPort{{Name: new("http"), Port: new(int32(8000))}},
	}
	for i := range sliceSize {
		ready := i != unready
		s.Endpoints = append(s.Endpoints, discoveryv1.Endpoint{
			Addresses:  []string{fmt.Sprintf("10.%d.%d.%d", n/250, n%250, i)},
			Conditions: discoveryv1.EndpointConditions{Ready: &ready, Serving: &ready, Terminating: new(false)},
			NodeName:   new(fmt.Sprintf("node-%d", i)),
			TargetRef:  &corev1.ObjectReference{Kind: "Pod", Namespace: "models", Name: fmt.Sprintf("llama-%d-%d", n, i), UID: types.UID(fmt.Sprintf("uid-%d-%d", n, i))},
		})
	}
	return s
}

// changes is a log that says when endpoints have changed.
type changes struct{ seen chan struct{} }

func (changes) Enabled(context.Context, slog.Level) bool { return true }
func (c changes) WithAttrs([]slog.Attr) slog.Handler     { return c }
func (c changes) WithGroup(string) slog.Handler          { return c }
func (c changes) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "endpoints have changed" {
		c.seen <- struct{}{}
	}
	return nil
}

// BenchmarkTenThousandEndpoints measures how long it takes from the API server's event until picks go by it, in a Service of 10,000 endpoints
// of which one changes 100 times a second. An operation is a change; the CPU time is that of the API server of the test, too.
func BenchmarkTenThousandEndpoints(b *testing.B) {
	s := kubetest.New(b)
	s.Set(llamaService(""))
	for n := range manyEndpoints / sliceSize {
		s.Set(manySlice(n, -1))
	}
	before := heap()
	c := changes{make(chan struct{}, 1000)}
	g, err := New(parse(b, ofService), Options{Logger: slog.New(c), Kube: func() (*kube.Client, error) { return s.Client(), nil }})
	if err != nil {
		b.Fatal(err)
	}
	defer g.Close()
	pool := g.dispatcher.Pool("main")
	for pool.Ready() < manyEndpoints {
		<-c.seen
	}
	memory := float64(heap()-before) / manyEndpoints
	times := make([]time.Duration, 0, b.N)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	b.ResetTimer()
	for i := range b.N {
		<-tick.C
		for len(c.seen) > 0 {
			<-c.seen
		}
		unready, want := -1, manyEndpoints
		if i%2 == 0 {
			unready, want = i/2%sliceSize, manyEndpoints-1
		}
		start := time.Now()
		s.Set(manySlice(i/2%(manyEndpoints/sliceSize), unready))
		for pool.Ready() != want {
			<-c.seen
		}
		times = append(times, time.Since(start))
	}
	b.StopTimer()
	b.ReportMetric(memory, "B/endpoint")
	slices.Sort(times)
	b.ReportMetric(float64(times[len(times)/2].Microseconds())/1e3, "ms-p50")
	b.ReportMetric(float64(times[len(times)*99/100].Microseconds())/1e3, "ms-p99")
}

func heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
