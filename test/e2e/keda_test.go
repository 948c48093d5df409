package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/test/e2e/traffic"
)

// quicker are what a test changes in deploy/examples/keda-external-push.yaml: where things are, how many requests are for a replica, and how long
// things take. All else is as users have it.
var quicker = [][2]string{
	{"namespace: models", "namespace: " + modelsNamespace},
	{"penstock-autoscale.penstock.svc", "penstock-autoscale." + gatewayNamespace + ".svc"},
	{`target: "48"`, `target: "12"`},
	{"maxReplicaCount: 8", "maxReplicaCount: 4"},
	{"cooldownPeriod: 900", "cooldownPeriod: 30"},
	{"stabilizationWindowSeconds: 300", "stabilizationWindowSeconds: 20"},
	{"periodSeconds: 60", "periodSeconds: 15"},
}

// scaleByKEDA gives the models the example's ScaledObject, when there is none of them.
func (s *suite) scaleByKEDA(t *testing.T) *replicas {
	t.Helper()
	data, err := os.ReadFile("../../deploy/examples/keda-external-push.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := string(data)
	for _, change := range quicker {
		if !strings.Contains(text, change[0]) {
			t.Fatalf("the example has no %s", change[0])
		}
		text = strings.ReplaceAll(text, change[0], change[1])
	}
	s.scaleMocks(t, "llama", 0)
	kubectl(t, "wait -n "+modelsNamespace+" pods -l app=llama --for=delete --timeout=120s")
	r := followReplicas(t)
	apply(t, text)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(kubectl(t, "describe scaledobject,hpa -n "+modelsNamespace), kubectl(t, "logs -n keda deployment/keda-operator --tail=100"))
		}
		kubectl(t, "delete scaledobject -n "+modelsNamespace+" llama")
		s.scaleMocks(t, "llama", 3)
		kubectl(t, "rollout status -n "+modelsNamespace+" deployment/llama --timeout=120s")
	})
	for _, condition := range []string{"Ready", "Active=False"} {
		kubectl(t, "wait -n "+modelsNamespace+" scaledobject/llama --for=condition="+condition+" --timeout=120s")
	}
	r.await(t, 0)
	return r
}

// TestKEDA has a real KEDA scale the models by what the gateway tells it: from zero at the first request, up and down with the load, not down while the
// gateway is rolled, and to the fallback while there is no gateway.
func TestKEDA(t *testing.T) {
	if os.Getenv("PENSTOCK_E2E_KEDA") == "" {
		t.Skip("needs a cluster with KEDA: make keda-test, or see test/keda/README.md")
	}
	s := setUp(t)
	r := s.scaleByKEDA(t)

	first := s.newLoad(t, "zero", "--unary=1 --tokens=20 --timeout=2m")
	if err := first.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r.await(t, 1)
	t.Logf("the first replica was asked for %s after the first request", time.Since(began).Round(100*time.Millisecond))
	eventually(t, "the first request is answered", func() (bool, string) {
		n := first.report().Count(traffic.OK)
		return n > 0, fmt.Sprint(n)
	})
	t.Logf("and the request answered %s after it was sent", time.Since(began).Round(100*time.Millisecond))
	first.endFlawless()

	// 30 streams a second of 1.5 s or so: some 45 outstanding requests, for which 12 each are right with four replicas.
	steady := s.newLoad(t, "keda", "--sse=30 --tokens=100-250")
	began = time.Now()
	steady.begin()
	r.await(t, 4)
	t.Logf("four replicas were asked for %s after the load began", time.Since(began).Round(100*time.Millisecond))
	kubectl(t, "rollout restart -n "+gatewayNamespace+" deployment/penstock")
	kubectl(t, "rollout status -n "+gatewayNamespace+" deployment/penstock --timeout=180s")
	steady.goOn(1200) // longer than the HPA waits before it takes replicas away
	if fell, seen := r.fell(); fell {
		t.Errorf("the number of replicas fell under steady load: %v", seen)
	}
	steady.endFlawless()
	r.await(t, 0)

	began = time.Now()
	kubectl(t, "scale -n "+gatewayNamespace+" deployment/penstock --replicas=0")
	r.await(t, 2)
	t.Logf("without a gateway the fallback was asked for after %s", time.Since(began).Round(time.Second))
	kubectl(t, "scale -n "+gatewayNamespace+" deployment/penstock --replicas=2")
	r.await(t, 0)
	r.mu.Lock()
	t.Logf("replicas were to be %v", r.seen)
	r.mu.Unlock()
}
