package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/penstock/penstock/bench/mock"
	"github.com/penstock/penstock/test/e2e/traffic"
)

func TestRollingUpdateOfModelServers(t *testing.T) {
	s := setUp(t)
	l := s.newLoad(t, "models", steady)
	l.begin()
	for range 2 {
		kubectl(t, "rollout restart -n "+modelsNamespace+" deployment/llama")
		kubectl(t, "rollout status -n "+modelsNamespace+" deployment/llama --timeout=180s")
	}
	l.goOn(200) // the last old pods are still draining
	l.endFlawless()
}

func TestRollingUpdateOfTheGateway(t *testing.T) {
	s := setUp(t)
	l := s.newLoad(t, "gateway", steady)
	l.begin()
	var old []string
	for range 2 {
		old = append(old, pods(t, gatewayNamespace, "app.kubernetes.io/name=penstock")...)
		kubectl(t, "rollout restart -n "+gatewayNamespace+" deployment/penstock")
		kubectl(t, "rollout status -n "+gatewayNamespace+" deployment/penstock --timeout=180s")
	}
	for _, pod := range old {
		kubectl(t, "wait -n "+gatewayNamespace+" pod/"+pod+" --for=delete --timeout=120s")
	}
	l.goOn(200)
	l.endFlawless()
}

func TestScaling(t *testing.T) {
	s := setUp(t)
	l := s.newLoad(t, "scaling", steady)
	l.begin()
	for _, n := range []int{6, 2, 5, 1, 3} {
		kubectl(t, fmt.Sprintf("scale -n %s deployment/llama --replicas=%d", modelsNamespace, n))
		kubectl(t, "rollout status -n "+modelsNamespace+" deployment/llama --timeout=180s")
		l.goOn(100)
	}
	l.endFlawless()
}

func TestFlappingReadiness(t *testing.T) {
	s := setUp(t)
	l := s.newLoad(t, "flapping", steady)
	l.begin()
	all := pods(t, modelsNamespace, "app=llama")
	flap := func(names []string) {
		t.Helper()
		for _, pod := range names {
			post(t, s.pod(modelsNamespace, pod, 9000)+"/mock/faults", `{"faults": [{"kind": "not-ready", "for": "3s"}]}`)
		}
		for _, condition := range []string{"false", "true"} {
			for _, pod := range names {
				kubectl(t, "wait -n "+modelsNamespace+" pod/"+pod+" --for=condition=Ready="+condition+" --timeout=60s")
			}
		}
	}
	for _, pod := range all {
		flap([]string{pod})
	}
	flap(all) // nobody is ready: requests wait
	l.goOn(100)
	l.endFlawless()
}

// What runs on a pod that dies is lost; it must be told so, and nothing else must be lost.
func TestPodsKilledWithoutGrace(t *testing.T) {
	s := setUp(t)
	for round := range 2 {
		l := s.newLoad(t, fmt.Sprintf("killed-%d", round), steady)
		l.begin()
		victim := s.busiest(t, pods(t, modelsNamespace, "app=llama"))
		address := strings.TrimSpace(kubectl(t, "get pod -n "+modelsNamespace+" "+victim+" -o jsonpath={.status.podIP}")) + ":9000"
		killed := time.Now()
		// The kubelet would give even a pod that is deleted by force the time of its preStop hook. This is as a process ends that is out of
		// memory: its connections are reset, and its port refuses new ones while the pod still counts as ready.
		post(t, s.pod(modelsNamespace, victim, 9000)+"/mock/faults", `{"faults": [{"kind": "death", "for": "1h"}]}`)
		kubectl(t, "delete pod -n "+modelsNamespace+" "+victim+" --grace-period=0 --force")
		kubectl(t, "rollout status -n "+modelsNamespace+" deployment/llama --timeout=180s")
		l.goOn(200)
		r := l.end()
		if n := r.Count(traffic.Truncated); n > 0 {
			t.Errorf("%d answers ended cleanly and were not whole: %s", n, samples(r))
		}
		if r.NotOK() == 0 {
			t.Error("nothing was lost: no request was on the pod when it was killed")
		}
		for _, lost := range r.Samples {
			if at := lost.Endpoint; at != "" && at != address || lost.Sent.After(killed.Add(5*time.Second)) {
				t.Errorf("a request was lost that was not on the killed pod, %s: %+v", address, lost)
			}
		}
		t.Logf("lost with the pod: %s", samples(r))
	}
}

// busiest is the mock with the most requests underway.
func (s *suite) busiest(t *testing.T, names []string) (name string) {
	t.Helper()
	most := int64(-1)
	for _, pod := range names {
		page, err := get(s.pod(modelsNamespace, pod, 9000) + "/mock/state")
		if err != nil {
			t.Fatal(err)
		}
		var state mock.State
		if err := json.Unmarshal([]byte(page), &state); err != nil {
			t.Fatal(err)
		}
		if state.Requests.Running > most {
			name, most = pod, state.Requests.Running
		}
	}
	return name
}

func TestAPIServerOutage(t *testing.T) {
	s := setUp(t)
	stop, start := os.Getenv("PENSTOCK_E2E_STOP_APISERVER"), os.Getenv("PENSTOCK_E2E_START_APISERVER")
	if stop == "" || start == "" {
		t.Skip("needs PENSTOCK_E2E_STOP_APISERVER and PENSTOCK_E2E_START_APISERVER, commands that take the API server away and bring it back")
	}
	l := s.newLoad(t, "outage", steady)
	l.begin()
	run(t, "", "sh", "-c", stop)
	time.Sleep(time.Minute) // this is how long the outage is to last
	run(t, "", "sh", "-c", start)
	eventually(t, "the driver can be reached again", func() (bool, string) {
		_, err := l.Report(t.Context())
		return err == nil, fmt.Sprint(err)
	})
	// What changes from now on is seen again.
	kubectl(t, "rollout restart -n "+modelsNamespace+" deployment/llama")
	kubectl(t, "rollout status -n "+modelsNamespace+" deployment/llama --timeout=180s")
	l.goOn(200)
	l.endFlawless()
}
