package e2e

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/penstock/penstock/test/e2e/traffic"
)

const autoscaler = `
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata: {name: llama, namespace: penstock-e2e-models}
spec:
  scaleTargetRef: {apiVersion: apps/v1, kind: Deployment, name: llama}
  minReplicas: %d
  maxReplicas: 4
  behavior: {scaleDown: {stabilizationWindowSeconds: 20}}
  metrics:
    - type: External
      external:
        metric: {name: penstock_outstanding_requests, selector: {matchLabels: {pool: llama}}}
        target: {type: AverageValue, averageValue: "12"}
`

// replicas follows how many replicas a Deployment is to have.
type replicas struct {
	mu   sync.Mutex
	seen []int // every number that differs from the one before
	at   []time.Time
	news chan struct{}
}

// followReplicas watches the Deployment of the models until the end of the test.
func followReplicas(t *testing.T) *replicas {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, environment("KUBECTL", "kubectl"), "get", "deployment", "-n", modelsNamespace, "llama", "-w",
		"-o", `jsonpath={.spec.replicas}{"\n"}`)
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	r := &replicas{news: make(chan struct{}, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			if n, err := strconv.Atoi(lines.Text()); err == nil {
				r.add(n)
			}
		}
	}()
	t.Cleanup(func() {
		stop()
		<-ended
		command.Wait()
	})
	return r
}

func (r *replicas) add(n int) {
	r.mu.Lock()
	if len(r.seen) == 0 || r.seen[len(r.seen)-1] != n {
		r.seen, r.at = append(r.seen, n), append(r.at, time.Now())
	}
	r.mu.Unlock()
	select {
	case r.news <- struct{}{}:
	default:
	}
}

// await waits until the Deployment is to have n replicas.
func (r *replicas) await(t *testing.T, n int) {
	t.Helper()
	for deadline := time.After(patience); ; {
		r.mu.Lock()
		reached := len(r.seen) > 0 && r.seen[len(r.seen)-1] == n
		seen := fmt.Sprint(r.seen)
		r.mu.Unlock()
		if reached {
			return
		}
		select {
		case <-r.news:
		case <-deadline:
			t.Fatalf("the Deployment does not get %d replicas: it had %s; %s", n, seen,
				kubectl(t, "describe hpa -n "+modelsNamespace))
		}
	}
}

// fell reports whether the number ever went down.
func (r *replicas) fell() (bool, []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := 1; i < len(r.seen); i++ {
		if r.seen[i] < r.seen[i-1] {
			return true, r.seen
		}
	}
	return false, r.seen
}

// scaleUnder gives the models an autoscaler with a smallest number of replicas, of which they begin with one.
func (s *suite) scaleUnder(t *testing.T, least int) *replicas {
	t.Helper()
	if os.Getenv("PENSTOCK_E2E_KEDA") != "" {
		t.Skip("the cluster's external metrics are KEDA's")
	}
	s.scaleMocks(t, "llama", 1)
	kubectl(t, "rollout status -n "+modelsNamespace+" deployment/llama --timeout=120s")
	for _, group := range []string{"v1beta1.external.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io"} {
		kubectl(t, "wait apiservice/"+group+" --for=condition=Available --timeout=120s")
	}
	r := followReplicas(t)
	r.await(t, 1)
	apply(t, fmt.Sprintf(autoscaler, least))
	t.Cleanup(func() {
		kubectl(t, "delete hpa -n "+modelsNamespace+" llama")
		s.scaleMocks(t, "llama", 3)
		kubectl(t, "rollout status -n "+modelsNamespace+" deployment/llama --timeout=120s")
	})
	return r
}

func TestAutoscaling(t *testing.T) {
	s := setUp(t)
	r := s.scaleUnder(t, 1)
	// 30 streams a second of 1.5 s or so: some 45 outstanding requests, for which 12 each are right with four replicas.
	l := s.newLoad(t, "autoscale", "--sse=30 --tokens=100-250")
	l.begin()
	r.await(t, 4)
	kubectl(t, "wait -n "+modelsNamespace+" hpa/llama --for=jsonpath={.status.currentReplicas}=4 --timeout=120s")
	s.logMetrics(t)
	// New replicas of the gateway know nothing at first. The models must not be scaled down for it.
	kubectl(t, "rollout restart -n "+gatewayNamespace+" deployment/penstock")
	kubectl(t, "rollout status -n "+gatewayNamespace+" deployment/penstock --timeout=180s")
	l.goOn(1200) // longer than the HPA waits before it takes replicas away
	if fell, seen := r.fell(); fell {
		t.Errorf("the number of replicas fell under steady load: %v", seen)
	}
	l.endFlawless()
	r.await(t, 1)
	r.mu.Lock()
	t.Logf("replicas were to be %v", r.seen)
	r.mu.Unlock()
}

// logMetrics prints what the gateway tells the HPA, and checks the metric of the Service in passing.
func (s *suite) logMetrics(t *testing.T) {
	t.Helper()
	external, err := get(s.api + "/apis/external.metrics.k8s.io/v1beta1/namespaces/" + modelsNamespace + "/penstock_outstanding_requests?labelSelector=pool%3Dllama")
	if err != nil {
		t.Error(err)
	}
	custom, err := get(s.api + "/apis/custom.metrics.k8s.io/v1beta2/namespaces/" + modelsNamespace + "/services/llama/penstock_outstanding_requests")
	if err != nil || !strings.Contains(custom, `"value"`) {
		t.Errorf("the Service's metric is %s, %v", custom, err)
	}
	t.Logf("external: %s; of the Service: %s", external, custom)
}

func TestScaleFromZero(t *testing.T) {
	s := setUp(t)
	r := s.scaleUnder(t, 0)
	r.await(t, 0)
	kubectl(t, "wait -n "+modelsNamespace+" pods -l app=llama --for=delete --timeout=120s")
	l := s.newLoad(t, "zero", "--unary=1 --tokens=20 --timeout=2m")
	if err := l.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	eventually(t, "the first request is answered", func() (bool, string) {
		n := l.report().Count(traffic.OK)
		return n > 0, fmt.Sprint(n)
	})
	t.Logf("the first request was answered %s after it was sent, by a replica that did not exist then", time.Since(began).Round(100*time.Millisecond))
	l.goOn(20)
	l.endFlawless()
}
