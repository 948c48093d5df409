package gateway

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	grpcstatus "google.golang.org/grpc/status"
	"k8s.io/client-go/rest"

	"github.com/penstock/penstock/autoscale/externalscaler"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/discovery"
	"github.com/penstock/penstock/discovery/kube"
)

// emptyCluster is an API server of a cluster in which nothing is but Services without pods.
func emptyCluster(t testing.TB) func() (*kube.Client, error) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if strings.HasSuffix(r.URL.Path, "/endpointslices") {
			io.WriteString(w, `{"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","items":[{"addressType":"IPv4","endpoints":null,"ports":null}]}`)
			return
		}
		w.WriteHeader(http.StatusNotFound)
		io.WriteString(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","reason":"NotFound","code":404}`)
	}))
	t.Cleanup(server.Close)
	return func() (*kube.Client, error) { return kube.NewClient(&rest.Config{Host: server.URL}) }
}

// answersAutoscalers is a section of a configuration.
func answersAutoscalers(t testing.TB) string {
	t.Helper()
	pair := newAuthority(t, "ca").files(t, "server", "penstock-autoscale.penstock.svc")
	return fmt.Sprintf("autoscale: {listen: \"127.0.0.1:0\", namespace: penstock, certFile: %s, keyFile: %s, caFile: %s, keda: \"127.0.0.1:0\"}\n",
		pair.CertFile, pair.KeyFile, pair.CertFile)
}

// startAutoscaled is start with a cluster.
func startAutoscaled(t testing.TB, yaml string) *running {
	t.Helper()
	path := filepath.Join(t.TempDir(), "penstock.yaml")
	writeFile(t, path, []byte(onLoopback(yaml)))
	c, err := config.Load(path)
	if err != nil {
		t.Fatal(err)
	}
	r := newRunning(t, c, path)
	r.finder.Connect = emptyCluster(t)
	r.run()
	return r
}

// metricOf is a metric of the pool main, as KEDA is told it.
func metricOf(ctx context.Context, conn *grpc.ClientConn, metric string) (float64, error) {
	ref := &externalscaler.ScaledObjectRef{Namespace: "penstock", ScalerMetadata: map[string]string{"pool": "main", "target": "1", "metric": metric}}
	out := new(externalscaler.GetMetricsResponse)
	err := conn.Invoke(ctx, "/"+externalscaler.Name+"/GetMetrics", &externalscaler.GetMetricsRequest{ScaledObjectRef: ref}, out)
	if err != nil {
		return 0, err
	}
	return out.GetMetricValues()[0].GetMetricValueFloat(), nil
}

// TestAutoscalersAreAnsweredToTheEnd has a request underway while the gateway stops.
func TestAutoscalersAreAnsweredToTheEnd(t *testing.T) {
	begun, end := make(chan struct{}, 1), make(chan struct{})
	address := backend(t, func(w http.ResponseWriter, r *http.Request) {
		begun <- struct{}{}
		<-end
		io.WriteString(w, "done")
	})
	r := startAutoscaled(t, pool(address)+answersAutoscalers(t))
	conn, err := grpc.NewClient(r.autoscale.KEDAAddr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	outstanding := func() float64 {
		t.Helper()
		for {
			v, err := metricOf(ctx, conn, "penstock_outstanding_requests")
			if err == nil {
				return v
			}
			if grpcstatus.Code(err) != codes.Unavailable || !strings.Contains(err.Error(), "which replicas of the gateway there are") {
				t.Fatal(err)
			}
		}
	}
	if v := outstanding(); v != 0 {
		t.Errorf("%v requests are outstanding before the first", v)
	}
	if _, err := metricOf(ctx, conn, "penstock_kv_cache_utilization"); grpcstatus.Code(err) != codes.Unavailable {
		t.Errorf("the KV caches of endpoints that are not polled: %v", err)
	}
	answered := make(chan string, 1)
	go func() {
		_, body := fetch(t, http.DefaultClient, r.url("/"))
		answered <- body
	}()
	<-begun
	if v := outstanding(); v != 1 {
		t.Errorf("%v requests are outstanding, want 1", v)
	}
	if n := r.metric(`penstock_autoscale_requests_total{api="keda",code="OK"}`); n != "2" {
		t.Errorf("%s answers are counted", n)
	}
	if n := r.metric(`penstock_autoscale_apiservice{group="external.metrics.k8s.io",state="missing"}`); n == "" {
		t.Error("nothing is said of the APIService")
	}
	if n := r.metric(`penstock_autoscale_peers{state="unheard"}`); n != "0" {
		t.Errorf("%s replicas are unheard", n)
	}
	r.signals <- os.Interrupt
	r.timer().end() // the lame duck
	drain := r.timer()
	if v := outstanding(); v != 1 {
		t.Errorf("%v requests are outstanding during the drain, want 1", v)
	}
	close(end)
	if body := <-answered; body != "done" {
		t.Errorf("the request got %q", body)
	}
	if err := r.wait(); err != nil {
		t.Error(err)
	}
	drain.end()
	if !isRefused(t, r.autoscale.KEDAAddr().String()) || !isRefused(t, r.autoscale.Addr().String()) {
		t.Error("a port is still open")
	}
}

func TestAutoscaleNeedsACluster(t *testing.T) {
	c := parse(t, pool("127.0.0.1:1")+answersAutoscalers(t))
	g, err := New(c, Options{Kube: func() (*kube.Client, error) { return nil, fmt.Errorf("cannot find a Kubernetes cluster") }})
	if err != nil {
		t.Fatal(err)
	}
	c.Listen, c.Admin = "127.0.0.1:0", "127.0.0.1:0"
	if err := g.Run(t.Context()); err == nil || err.Error() != "cannot answer autoscalers: cannot find a Kubernetes cluster" {
		t.Errorf("got %v", err)
	}
}

func TestAutoscaleNeedsARestart(t *testing.T) {
	address := answering(t, "hello")
	r := start(t, pool(address))
	writeFile(t, r.path, []byte(onLoopback(pool(address)+"debugHeaders: true\nautoscale: {}\n")))
	line := r.logs.await(t, "field=autoscale running=off configured=", 1)
	r.logs.await(t, "configuration applied", 1)
	if !strings.Contains(line, "restart the gateway to apply it") || r.config.Load().Autoscale != nil || !r.config.Load().DebugHeaders {
		t.Errorf("logged %q; in force: %+v", line, r.config.Load().Autoscale)
	}
}

// TestSumOfKVCaches is known while all endpoints that are ready say how much they use.
func TestSumOfKVCaches(t *testing.T) {
	const page = "vllm:num_requests_running{model_name=\"m\"} 1\nvllm:num_requests_waiting{model_name=\"m\"} 0\nvllm:kv_cache_usage_perc{model_name=\"m\"} 0.5\n"
	a, b := newPolled(t, "a", page), newPolled(t, "b", strings.ReplaceAll(page, "0.5", "0.25"))
	r := startPolling(t, pool(a.address, b.address)+"    engine: vllm\n    metrics: {}\n")
	a.await(t)
	b.await(t)
	if l := r.loads(); len(l) != 1 || l[0].Pool != "main" || !l[0].KVCacheKnown || l[0].KVCache != 0.75 {
		t.Errorf("got %+v, want 0.75", l)
	}
	silent := answering(t, "c")
	if err := r.dispatcher.SetEndpoints("main", members(discovery.Set{Endpoints: found(t, a.address, silent)})); err != nil {
		t.Fatal(err)
	}
	if l := r.loads(); l[0].KVCacheKnown {
		t.Errorf("got %+v with an endpoint that says nothing", l)
	}
	if err := r.dispatcher.SetEndpoints("main", nil); err != nil {
		t.Fatal(err)
	}
	if l := r.loads(); !l[0].KVCacheKnown || l[0].KVCache != 0 {
		t.Errorf("got %+v without endpoints, want 0", l)
	}
}

func TestLoadOfAServicesPool(t *testing.T) {
	r := start(t, pool(answering(t, "a")))
	if err := r.dispatcher.Apply(parse(t, "pools: {main: {service: {namespace: models, name: llama}}}")); err != nil {
		t.Fatal(err)
	}
	if l := r.loads(); l[0].Service != "llama" || l[0].Namespace != "models" || l[0].KVCacheKnown {
		t.Errorf("got %+v", l)
	}
}
