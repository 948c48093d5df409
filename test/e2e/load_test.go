package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/test/e2e/traffic"
)

const driver = `
apiVersion: v1
kind: Pod
metadata: {name: %[1]s, namespace: %[2]s, labels: {app: %[1]s}}
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 5
  securityContext: {runAsNonRoot: true, seccompProfile: {type: RuntimeDefault}}
  containers:
    - name: trafficd
      image: %[3]s
      imagePullPolicy: Never
      command: [trafficd, --target, "%[4]s:80", %[5]s]
      startupProbe: {httpGet: {path: /reach, port: 9100}, periodSeconds: 1, failureThreshold: 60}
      resources: {requests: {cpu: 10m, memory: 32Mi}}
      securityContext: {allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {drop: [ALL]}}
`

// load is traffic from a pod to the gateway's Service.
type load struct {
	traffic.Remote
	t *testing.T
}

// steady is the load under which a rollout must lose nothing: each kind, with answers of 0.2 to 3 s, over connections that are kept and over new
// ones.
const steady = "--new-connections --unary=10 --sse=20 --grpc=10 --grpc-stream=10 --tokens=20-250 --users=200"

// newLoad starts a driver with flags, which is ready when it can reach the gateway. It sends nothing yet, and is deleted at the end of the test.
func (s *suite) newLoad(t *testing.T, name, flags string) *load {
	t.Helper()
	target := strings.TrimSpace(kubectl(t, "get service -n "+gatewayNamespace+" penstock -o jsonpath={.spec.clusterIP}"))
	args := `"` + strings.Join(strings.Fields(flags), `", "`) + `"`
	apply(t, fmt.Sprintf(driver, name, loadNamespace, s.image, target, args))
	t.Cleanup(func() { kubectl(t, "delete pod -n "+loadNamespace+" "+name+" --wait=true") })
	kubectl(t, "wait -n "+loadNamespace+" pod/"+name+" --for=condition=Ready --timeout=120s")
	return &load{traffic.Remote{URL: s.pod(loadNamespace, name, 9100)}, t}
}

// begin sends, and returns when answers come.
func (l *load) begin() {
	l.t.Helper()
	if err := l.Start(context.Background()); err != nil {
		l.t.Fatal(err)
	}
	l.goOn(20)
}

// goOn waits until the requests of some time have been sent and answered, by the count of right answers.
func (l *load) goOn(answers int64) {
	l.t.Helper()
	first := int64(-1)
	eventually(l.t, fmt.Sprintf("%d more answers have come", answers), func() (bool, string) {
		r := l.report()
		if first < 0 {
			first = r.Count(traffic.OK)
		}
		return r.Count(traffic.OK) >= first+answers, fmt.Sprint(r.Count(traffic.OK) - first)
	})
}

func (l *load) report() *traffic.Report {
	l.t.Helper()
	r, err := l.Report(context.Background())
	if err != nil {
		l.t.Fatal(err)
	}
	return r
}

// end stops sending, waits for what is underway, prints the count of every outcome, and returns the report.
func (l *load) end() *traffic.Report {
	l.t.Helper()
	r, err := l.Stop(context.Background())
	if err != nil {
		l.t.Fatal(err)
	}
	l.t.Logf("%v of load: %s", r.Taken.Sub(r.Began).Round(time.Second), summary(r))
	if !r.Valid {
		l.t.Error("the load yielded to the gateway: requests that were due were not sent")
	}
	return r
}

// endFlawless is end for a load of which nothing may have failed.
func (l *load) endFlawless() *traffic.Report {
	l.t.Helper()
	r := l.end()
	if r.NotOK() > 0 || r.Count(traffic.OK) == 0 {
		l.t.Errorf("%d requests were not answered rightly, want none: %s", r.NotOK(), samples(r))
		const since = "NAMESPACE:.metadata.namespace,POD:.metadata.name,IP:.status.podIP,RESTARTS:.status.containerStatuses[*].restartCount," +
			"READY:.status.conditions[?(@.type=='Ready')].status,SINCE:.status.conditions[?(@.type=='Ready')].lastTransitionTime"
		l.t.Logf("the cluster:\n%s%s%s", kubectl(l.t, "get nodes"), kubectl(l.t, "get pods -A -o custom-columns="+since),
			kubectl(l.t, "get events -A --sort-by=.lastTimestamp"))
	}
	return r
}

func summary(r *traffic.Report) string {
	var parts []string
	for _, k := range traffic.Kinds {
		tally, has := r.Kinds[k]
		if !has || tally.Sent == 0 {
			continue
		}
		part := fmt.Sprintf("%s %d sent", k, tally.Sent)
		for _, o := range traffic.Outcomes {
			part += fmt.Sprintf(", %d %s", tally.Outcomes[o], o)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, "; ")
}

// samples writes the first requests that were not answered rightly, a line each.
func samples(r *traffic.Report) string {
	var b strings.Builder
	for i, s := range r.Samples {
		if i == 20 {
			break
		}
		fmt.Fprintf(&b, "\n%s %s sent %s, ended %s, at %s%s, status %s %s, %d pieces: %s (%s)", s.Kind, s.Outcome,
			s.Sent.Format("15:04:05.000"), s.Ended.Format("15:04:05.000"), s.Endpoint, s.Replica, s.Status, s.Code, s.Pieces, s.Error, s.RequestID)
	}
	return b.String()
}
