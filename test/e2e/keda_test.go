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

// wake sends requests to the models while there are none, and waits until they are answered.
func (s *suite) wake(t *testing.T, r *replicas, name string) {
	t.Helper()
	l := s.newLoad(t, "zero-"+name, "--unary=1 --tokens=20 --timeout=2m")
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	r.await(t, 1)
	asked := time.Since(began)
	eventually(t, "the first request is answered", func() (bool, string) {
		n := l.report().Count(traffic.OK)
		return n > 0, fmt.Sprint(n)
	})
	t.Logf("%s: the first replica was asked for %s after the first request, which was answered after %s", name, asked.Round(100*time.Millisecond),
		time.Since(began).Round(100*time.Millisecond))
	// Told by the stream, and not by a poll, which KEDA makes every 30 s.
	if asked > 10*time.Second {
		t.Errorf("%s: the first replica was asked for only after %s", name, asked)
	}
	l.endFlawless()
}

// TestKEDA has a real KEDA scale the models by what the gateway tells it: from zero at the first request, up and down with the load, and not down while
// the gateway is rolled or does not know its load.
func TestKEDA(t *testing.T) {
	if os.Getenv("PENSTOCK_E2E_KEDA") == "" {
		t.Skip("needs a cluster with KEDA: make keda-test, or see test/keda/README.md")
	}
	s := setUp(t)
	r := s.scaleByKEDA(t)
	s.wake(t, r, "first")

	// 30 streams a second of 1.5 s or so: some 45 outstanding requests, for which 12 each are right with four replicas.
	steady := s.newLoad(t, "keda", "--sse=30 --tokens=100-250")
	began := time.Now()
	steady.begin()
	r.await(t, 4)
	t.Logf("four replicas were asked for %s after the load began", time.Since(began).Round(100*time.Millisecond))
	kubectl(t, "rollout restart -n "+gatewayNamespace+" deployment/penstock")
	kubectl(t, "rollout status -n "+gatewayNamespace+" deployment/penstock --timeout=180s")
	steady.goOn(1200) // longer than the HPA waits before it takes replicas away
	checkNeverFell(t, r, "while the gateway was rolled")

	s.unknowing(t)
	steady.goOn(1200)
	checkNeverFell(t, r, "while the gateway did not know its load")
	s.configure(t, 100, 0, time.Time{})
	kubectl(t, "wait -n "+modelsNamespace+" scaledobject/llama --for=condition=Fallback=False --timeout=120s")
	steady.endFlawless()
	r.await(t, 0)

	// One that is being deleted and still serves would answer.
	kubectl(t, "wait -n "+modelsNamespace+" pods -l app=llama --for=delete --timeout=120s")
	s.wake(t, r, "again")
	r.await(t, 0)
	r.mu.Lock()
	t.Logf("replicas were to be %v", r.seen)
	r.mu.Unlock()
}

// unknowing takes away the Service by which the gateway's replicas find each other and starts them anew, so that none knows the load of all, and waits
// until KEDA falls back.
func (s *suite) unknowing(t *testing.T) {
	t.Helper()
	began := time.Now()
	kubectl(t, "delete service -n "+gatewayNamespace+" penstock-replicas")
	kubectl(t, "rollout restart -n "+gatewayNamespace+" deployment/penstock")
	kubectl(t, "rollout status -n "+gatewayNamespace+" deployment/penstock --timeout=180s")
	kubectl(t, "wait -n "+modelsNamespace+" scaledobject/llama --for=condition=Fallback=True --timeout=170s")
	t.Logf("KEDA fell back %s after the gateway ceased to know its load", time.Since(began).Round(time.Second))
}

func checkNeverFell(t *testing.T, r *replicas, when string) {
	t.Helper()
	if fell, seen := r.fell(); fell {
		t.Errorf("the number of replicas fell %s: %v", when, seen)
	}
}
