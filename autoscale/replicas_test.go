package autoscale

import (
	"bytes"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestThreeReplicas goes through a rollout: any replica answers for all, one that is fresh says nothing before it has heard the others, and
// nobody's requests are forgotten while it may have some.
func TestThreeReplicas(t *testing.T) {
	f := newFleet(t)
	a, b, c := f.start(1), f.start(2), f.start(4)
	for _, r := range []*replica{a, b, c} {
		r.awaitOutstanding("7")
	}
	b.set(20)
	a.awaitOutstanding("25")
	c.awaitOutstanding("25")

	// b is cut off: its last word counts as long as it is listed.
	b.Close()
	a.logs.await(t, "another replica of the gateway does not answer")
	a.awaitOutstanding("25")

	// d is fresh. It has never heard b, which may have requests.
	d := f.start(0)
	d.awaitOutstanding("503 1 of the gateway's replicas have never answered this one: " + b.Addr().String())
	a.awaitOutstanding("25")

	f.delist(b)
	for _, r := range []*replica{a, c, d} {
		r.awaitOutstanding("5")
	}
	if n := a.Peers(); n[Answering] != 2 || n[Unheard]+n[Silent]+n[Idle] != 0 {
		t.Errorf("replicas are seen as %v", n)
	}
	if a.count("load 200") == 0 {
		t.Error("answers to other replicas are not counted")
	}
}

// TestReplicaThatCrashesAtItsStart freezes nothing.
func TestReplicaThatCrashesAtItsStart(t *testing.T) {
	f := newFleet(t)
	a := f.start(3)
	a.awaitOutstanding("3")
	b := f.startUnlisted(5)
	b.Close()
	f.list(b, false)
	await(t, func() bool { return a.Peers()[Idle] == 1 }, func() string { return fmt.Sprint(a.Peers()) })
	a.awaitOutstanding("3")
	f.list(b, true)
	a.awaitOutstanding("503 1 of the gateway's replicas have never answered")
}

// TestReplicaThatDrains is not ready any more, and is still heard by one that has just started.
func TestReplicaThatDrains(t *testing.T) {
	f := newFleet(t)
	a := f.startUnlisted(3)
	f.list(a, false)
	b := f.startUnlisted(1)
	b.awaitOutstanding("4")
	f.delist(a)
	b.awaitOutstanding("1")
}

// TestReplicaThatRestartsInItsPod has another instance at the same address.
func TestReplicaThatRestartsInItsPod(t *testing.T) {
	f := newFleet(t)
	a, b := f.start(1), f.start(8)
	a.awaitOutstanding("9")
	address := b.Addr().String()
	b.Close()
	await(t, func() bool { return a.Peers()[Silent] == 1 }, func() string { return fmt.Sprint(a.Peers()) })
	a.awaitOutstanding("9")
	again := f.startUnlisted(0, func(o *Options) { o.Config.Listen = address })
	a.awaitOutstanding("1")
	again.set(2)
	a.awaitOutstanding("3")
}

func TestNothingBeforeAllIsKnown(t *testing.T) {
	f := newFleet(t)
	f.setDown(true)
	a := f.startUnlisted(1)
	a.logs.await(t, "cannot find the replicas of the gateway")
	a.logs.await(t, "cannot keep the certificate")
	if err := a.Ready(); err == nil || err.Error() != "there is no certificate yet" {
		t.Errorf("ready: %v", err)
	}
	f.setDown(false)
	a.awaitOutstanding("1")
	if code, body := a.getAs(nil, "/readyz"); code != 200 || body != "ok\n" {
		t.Errorf("/readyz: %d %s", code, body)
	}
	a.mu.Lock()
	a.unsynced = true
	a.mu.Unlock()
	a.awaitOutstanding("503 this replica of the gateway has not found the endpoints of all its pools yet")
	if code, body := a.getAs(nil, "/readyz"); code != 503 || !strings.Contains(body, "has not found the endpoints") {
		t.Errorf("/readyz: %d %s", code, body)
	}
	if code, _ := a.getAs(nil, "/healthz"); code != 200 {
		t.Errorf("/healthz: %d", code)
	}
	if code, body := a.get(externalPath); code != 200 {
		t.Errorf("the API server takes the API for gone: %d %s", code, body)
	}
}

// TestServiceOfReplicasMissing is not a gateway of one replica.
func TestServiceOfReplicasMissing(t *testing.T) {
	f := newFleet(t)
	f.slices.Delete(sliceOfService())
	a := f.startUnlisted(1)
	a.logs.await(t, "there are no EndpointSlices of Service penstock/penstock-replicas: make it, headless")
	a.awaitOutstanding("503 which replicas of the gateway there are has not been read yet")
	f.slices.Set(sliceOfService())
	a.awaitOutstanding("1")
}

// TestAPIServerAway changes nothing of what is known.
func TestAPIServerAway(t *testing.T) {
	f := newFleet(t)
	a, b := f.start(1), f.start(2)
	a.awaitOutstanding("3")
	f.setDown(true)
	a.logs.await(t, "cannot find the replicas of the gateway")
	b.set(5)
	a.awaitOutstanding("6")
	f.setDown(false)
	a.logs.await(t, "can find the replicas of the gateway again")
}

// TestOneCertificateForAll starts replicas at once with an empty Secret.
func TestOneCertificateForAll(t *testing.T) {
	f := newFleet(t)
	// Somebody else is faster than the first to write.
	f.beforeWrite = func(c *cluster) {
		data, _, err := tend(nil, []string{"penstock-autoscale.penstock.svc"}, time.Now())
		if err != nil {
			t.Error(err)
		}
		c.secret.Data, c.secret.ResourceVersion = data, c.next()
	}
	var started sync.WaitGroup
	all := make([]*replica, 3)
	for i := range all {
		started.Go(func() { all[i] = f.startUnlisted(1) })
	}
	started.Wait()
	for _, r := range all {
		f.list(r, true)
	}
	for _, r := range all {
		r.awaitOutstanding("3")
	}
	f.mu.Lock()
	kept := f.secret.Data[secretCertificate]
	f.mu.Unlock()
	for i, r := range all {
		await(t, func() bool { return bytes.Equal(pemCertificate(r.ids.Load().certificate.Leaf), kept) },
			func() string { return fmt.Sprintf("replica %d has a certificate of its own", i) })
	}
	const external, custom = "v1beta1.external.metrics.k8s.io", "v1beta2.custom.metrics.k8s.io"
	for _, name := range []string{external, custom} {
		await(t, func() bool { return f.caBundle(name) != "" }, func() string { return name + " has no authorities" })
	}
	if all[0].Registration(externalGroup) != OwnRegistration || all[0].Registration(customGroup) != OwnRegistration {
		t.Error("the APIServices are not the gateway's")
	}
	if n := f.written("apiservice " + external); n > 3 {
		t.Errorf("the APIService was written %d times", n)
	}
}

func TestAnotherAdapterIsLeftAlone(t *testing.T) {
	f := newFleet(t)
	f.register("v1beta1.external.metrics.k8s.io", "keda", "keda-operator-metrics-apiserver")
	f.do(func() { delete(f.apiServices, "v1beta2.custom.metrics.k8s.io") })
	a := f.startUnlisted(1, func(o *Options) { o.Config.KEDA = "" })
	a.awaitOutstanding("1")
	a.logs.await(t, "APIService belongs to somebody else")
	await(t, func() bool { return a.Registration(customGroup) == MissingRegistration }, func() string { return "custom: " + string(a.Registration(customGroup)) })
	if got := a.Registration(externalGroup); got != ForeignRegistration {
		t.Errorf("external: %s", got)
	}
	f.register("v1beta2.custom.metrics.k8s.io", "", "")
	a.logs.await(t, "owner=the API server itself")
	if n := a.logs.count("owner=keda/keda-operator-metrics-apiserver"); n != 1 {
		t.Errorf("the other adapter was told of %d times", n)
	}
	if n := f.written("apiservice"); n != 0 {
		t.Errorf("APIServices of others were written %d times", n)
	}
	b := f.start(1) // with KEDA, which is such an adapter
	b.logs.await(t, "a metrics API is answered by another adapter apiService=v1beta1.external.metrics.k8s.io owner=keda/")
	if b.logs.count("cannot answer a metrics API") != 0 {
		t.Error("KEDA's adapter is taken amiss though KEDA is to ask")
	}
	f.register("v1beta1.external.metrics.k8s.io", "penstock", "penstock-autoscale")
	await(t, func() bool { return f.caBundle("v1beta1.external.metrics.k8s.io") != "" }, func() string { return "it is ours again and gets nothing" })
}

func TestSecretsThatAreNotOurs(t *testing.T) {
	f := newFleet(t)
	f.do(func() { f.secret = nil })
	a := f.start(1)
	a.logs.await(t, "there is no Secret penstock/penstock-autoscale: make an empty one")
	g := newFleet(t)
	g.do(func() {
		g.secret.Data = map[string][]byte{secretCertificate: []byte("mine"), secretKey: []byte("mine")}
	})
	b := g.start(1)
	b.logs.await(t, "it has a certificate that the gateway did not make")
	if g.written("secret") != 0 {
		t.Error("somebody else's Secret was written")
	}
}
