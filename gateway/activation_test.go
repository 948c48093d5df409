package gateway

import (
	"fmt"
	"testing"
	"time"
)

func activeFrom(at time.Time, yaml string) string {
	return fmt.Sprintf("activeFrom: %s\n", at.UTC().Format(time.RFC3339)) + yaml
}

// Replicas get a changed file one after the other and take it at the same time.
func TestConfigurationThatTakesEffectLater(t *testing.T) {
	a, b := answering(t, "a"), answering(t, "b")
	r := start(t, pool(a))
	at := time.Now().Add(2 * time.Second).Truncate(time.Second) // times of a file are whole seconds
	r.configure(activeFrom(at, pool(b)))
	r.logs.await(t, "configuration is sound and takes effect later", 1)
	if time.Now().Before(at) {
		r.expectSaid("before its time", "200 a")
	}
	r.logs.await(t, "configuration applied", 1)
	if early := time.Until(at); early > 0 {
		t.Errorf("it took effect %v early", early)
	}
	r.expectSaid("from then on", "200 b")
	if got := r.metric("penstock_config_last_reload_successful"); got != "1" {
		t.Errorf("the last reload was successful: %s", got)
	}
}

func TestLaterConfigurationGivesWay(t *testing.T) {
	a, b, c := answering(t, "a"), answering(t, "b"), answering(t, "c")
	r := start(t, pool(a))
	far := time.Now().Add(time.Hour)
	r.configure(activeFrom(far, pool(b)))
	r.logs.await(t, "configuration is sound and takes effect later", 1)
	r.configure(activeFrom(far, "pools: {}\n"))
	r.logs.await(t, "cannot apply the configuration: the old one stays in force", 1)
	r.configure(pool(c))
	r.logs.await(t, "configuration applied", 1)
	r.expectSaid("a file without a time", "200 c")
	r.configure(activeFrom(time.Now().Add(-time.Hour), pool(a)))
	r.logs.await(t, "configuration applied", 2)
	r.expectSaid("a time that has passed", "200 a")
}

// A gateway that starts knows no older configuration.
func TestStartDoesNotWait(t *testing.T) {
	r := start(t, activeFrom(time.Now().Add(time.Hour), pool(answering(t, "a"))))
	r.expectSaid("at the start", "200 a")
}
