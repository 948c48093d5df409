package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// mocks is a Deployment of mock model servers and its Service, as deploy/examples has them for real ones: a readiness probe, a pause before the
// stop, and time to finish what is underway.
const mocks = `
apiVersion: apps/v1
kind: Deployment
metadata: {name: %[1]s, namespace: %[2]s}
spec:
  replicas: %[3]d
  strategy: {rollingUpdate: {maxUnavailable: 0, maxSurge: 1}}
  selector: {matchLabels: {app: %[1]s}}
  template:
    metadata: {labels: {app: %[1]s}}
    spec:
      terminationGracePeriodSeconds: 60
      securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
      containers:
        - name: server
          image: %[4]s
          imagePullPolicy: Never
          command: [penstock, mock, --listen, ":9000", --load-time, 2s, --drain, 50s, --label, %[1]s]
          ports: [{name: http, containerPort: 9000}]
          readinessProbe: {httpGet: {path: /health, port: http}, periodSeconds: 1, failureThreshold: 1}
          lifecycle: {preStop: {sleep: {seconds: 5}}}
          resources: {requests: {cpu: 10m, memory: 32Mi}}
          securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
---
apiVersion: v1
kind: Service
metadata: {name: %[1]s, namespace: %[2]s}
spec:
  selector: {app: %[1]s}
  ports: [{name: http, port: 80, targetPort: http}]
`

// values are those of the chart. %[1]s and %[2]s are the image, %[3]d and %[4]d the weights of the split, %[5]s says when they take effect, and %[6]s
// whom autoscale answers.
const values = `
image: {repository: %[1]s, tag: %[2]s, pullPolicy: Never}
shutdown: {lameDuckSeconds: 5, drainSeconds: 60}
resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {memory: 512Mi}}
autoscale: {enabled: true, customMetrics: true, %[6]s}
tests: {enabled: false}
config:
  %[5]s
  debugHeaders: true
  pools:
    llama:
      service: {namespace: penstock-e2e-models, name: llama, port: http}
      queue: {size: 2000, timeout: 60s}
      slowStart: 1s
    next:
      service: {namespace: penstock-e2e-models, name: next}
      queue: {size: 2000, timeout: 60s}
      slowStart: 1s
  routes:
    - name: llama
      split: [{pool: llama, weight: %[3]d}, {pool: next, weight: %[4]d}]
      sticky: {header: x-user-id}
`

// install makes the namespaces under the strictest pod security, model servers of one version, and the gateway from its chart.
func (s *suite) install(t *testing.T) {
	t.Helper()
	for _, name := range []string{gatewayNamespace, modelsNamespace, loadNamespace} {
		apply(t, fmt.Sprintf("{apiVersion: v1, kind: Namespace, metadata: {name: %s, labels: {pod-security.kubernetes.io/enforce: restricted}}}", name))
	}
	uninstalled = append(uninstalled, s.uninstall)
	s.scaleMocks(t, "llama", 3)
	s.scaleMocks(t, "next", 0)
	s.configure(t, 100, 0, time.Time{})
	kubectl(t, "rollout status -n "+gatewayNamespace+" deployment/penstock --timeout=120s")
	kubectl(t, "rollout status -n "+modelsNamespace+" deployment/llama --timeout=120s")
}

// uninstall ends the suite as its users would: the chart first, whose APIServices would otherwise keep namespaces from being deleted.
func (s *suite) uninstall() {
	_, err := attempt("", environment("HELM", "helm"), "uninstall", "penstock", "-n", gatewayNamespace, "--wait")
	if err == nil {
		_, err = attempt("", environment("KUBECTL", "kubectl"), "delete", "namespace", gatewayNamespace, modelsNamespace, loadNamespace)
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "cannot clean up: %v\n", err)
	}
}

// scaleMocks makes the model servers of a name, or changes how many there are.
func (s *suite) scaleMocks(t *testing.T, name string, replicas int) {
	t.Helper()
	apply(t, fmt.Sprintf(mocks, name, modelsNamespace, replicas, s.image))
}

// configure installs the chart, or upgrades it, with these weights of the pools llama and next, which take effect at a time; if that is zero, as soon
// as they are known.
func (s *suite) configure(t *testing.T, llama, next int, at time.Time) {
	t.Helper()
	activeFrom := ""
	if !at.IsZero() {
		activeFrom = "activeFrom: " + at.UTC().Format(time.RFC3339)
	}
	autoscale := "externalMetrics: true"
	if os.Getenv("PENSTOCK_E2E_KEDA") != "" {
		autoscale = "externalMetrics: false, keda: {enabled: true}"
	}
	colon := strings.LastIndex(s.image, ":") // a registry may have a port
	if colon < 0 {
		t.Fatalf("the image %q has no tag", s.image)
	}
	repository, tag := s.image[:colon], s.image[colon+1:]
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, fmt.Appendf(nil, values, repository, tag, llama, next, activeFrom, autoscale), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "", environment("HELM", "helm"), "upgrade", "--install", "penstock", environment("PENSTOCK_E2E_CHART", "../../deploy/helm/penstock"),
		"-n", gatewayNamespace, "-f", file)
}
