package e2e

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"
)

// A canary by hand: the weights in the chart's values go up in steps while load runs.
func TestCanary(t *testing.T) {
	s := setUp(t)
	s.scaleMocks(t, "next", 3)
	kubectl(t, "rollout status -n "+modelsNamespace+" deployment/next --timeout=120s")
	t.Cleanup(func() {
		s.setWeights(t, 100, 0)
		s.scaleMocks(t, "next", 0)
	})
	l := s.newLoad(t, "canary", "--unary=25 --sse=25 --grpc=25 --grpc-stream=25 --tokens=8-60 --users=500")
	l.begin()
	for _, percent := range []int{0, 10, 50, 90, 100} {
		if percent > 0 {
			s.setWeights(t, 100-percent, percent)
		}
		since := l.report()
		from := since.Second(since.Taken) + 1
		l.goOn(800)
		l.expectShare(percent, from)
	}
	l.goOn(100)
	r := l.endFlawless()
	if len(r.Users) != 500 || len(r.LeftOut) > 0 {
		t.Errorf("%d users were seen, and left out was %v", len(r.Users), r.LeftOut)
	}
	for _, m := range r.MovesBack("llama", "next") {
		t.Errorf("%s was moved back from next to llama: it had an answer from next %v, and sent a request that llama answered %v", m.User, m.Between[0], m.Between[1])
	}
}

// notice is how long before they take effect weights are set: longer than both replicas of the gateway take to get them.
const notice = 12 * time.Second

// setWeights has the chart change the split, and waits until it is in force. The kubelet brings a changed ConfigMap to a pod when it next looks at
// it, which is within a minute, or at once when the pod has changed. All replicas take it up at the same time.
func (s *suite) setWeights(t *testing.T, llama, next int) {
	t.Helper()
	at := time.Now().Add(notice).Truncate(time.Second)
	s.configure(t, llama, next, at)
	kubectl(t, "annotate pods -n "+gatewayNamespace+" -l app.kubernetes.io/name=penstock --overwrite", fmt.Sprintf("weights=%d-%d", llama, next))
	names := pods(t, gatewayNamespace, "app.kubernetes.io/name=penstock")
	for _, pod := range names {
		eventually(t, pod+" knows the new weights", func() (bool, string) {
			log := kubectl(t, "logs -n "+gatewayNamespace+" "+pod)
			return strings.Contains(log, "takes effect later") && strings.Contains(log, at.UTC().Format(time.RFC3339)), ""
		})
	}
	if late := time.Since(at); late > 0 {
		t.Fatalf("the gateway knew the new weights %v after they were to take effect", late)
	}
	want := fmt.Sprintf("- pool: llama weight: %d - pool: next weight: %d ", llama, next)
	for _, pod := range names {
		eventually(t, pod+" goes by the new weights", func() (bool, string) {
			page, err := get(s.pod(gatewayNamespace, pod, 8001) + "/debug/config")
			return err == nil && strings.Contains(strings.Join(strings.Fields(page), " ")+" ", want), fmt.Sprint(page, err)
		})
	}
}

// expectShare checks that the new version has its share of the users' requests from a second on, within four standard deviations.
func (l *load) expectShare(percent, from int) {
	l.t.Helper()
	r := l.report()
	share, of := r.Share("next", from, r.Second(r.Taken)-3) // what was sent later may not have been answered
	want := float64(percent) / 100
	// Users are what the weight divides, and each of the seconds' requests is another user's until all have had a turn.
	n := math.Min(float64(of), float64(len(r.Users)))
	deviation := math.Sqrt(want * (1 - want) / n)
	l.t.Logf("weight %d %%: the new version answered %.1f %% of %d requests (standard deviation %.1f %%)", percent, 100*share, of, 100*deviation)
	if of < 100 || math.Abs(share-want) > 4*deviation {
		l.t.Errorf("the new version has %.3f of %d requests, want %.3f", share, of, want)
	}
}
