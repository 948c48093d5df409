package config

import (
	"testing"
	"time"
)

func TestSettings(t *testing.T) {
	settings, err := ParseSettings("annotation", []byte("engine: vllm\nmaxInFlight: 8\nqueue: {size: 3}\nprobe: {interval: 9s}\n"))
	if err != nil {
		t.Fatal(err)
	}
	file := "pools:\n  a: {endpoints: [\"http://10.0.0.1:8000\"], maxInFlight: 5, queue: {timeout: 2s}}\n  a.b: {endpoints: [\"http://10.0.0.2:8000\"]}\n" +
		"  c: {endpoints: [\"http://10.0.0.3:8000\"]}\nroutes: [{split: [{pool: a}]}]\n"
	c, err := ParseOver("penstock.yaml", []byte(file), map[string]*Pool{"a": settings, "a.b": settings})
	if err != nil {
		t.Fatal(err)
	}
	a, b, other := c.Pools["a"], c.Pools["a.b"], c.Pools["c"]
	if a.MaxInFlight != 5 || a.Queue != (Queue{Size: 3, Timeout: Duration(2 * time.Second)}) || a.Engine != "vllm" || a.Probe.Interval.Std() != 9*time.Second {
		t.Errorf("pool a is %+v; want the file to win over settings, and settings over defaults", a)
	}
	if b.MaxInFlight != 8 || b.Queue != (Queue{Size: 3, Timeout: DefaultQueue.Timeout}) || len(b.Endpoints) != 1 {
		t.Errorf("pool a.b is %+v", b)
	}
	if other.MaxInFlight != 0 || other.Queue != DefaultQueue || other.Engine != "none" {
		t.Errorf("pool c is %+v; want no settings of another pool", other)
	}
}

func TestBadSettings(t *testing.T) {
	for text, want := range map[string]string{
		"maxInFlight: many":                         `annotation:1:14: maxInFlight: is the text "many"; want a whole number`,
		"endpoints: [\"http://a:1\"]":               "annotation:1:1: endpoints: cannot be set here; set it in the gateway's configuration",
		"service: {name: x}":                        "annotation:1:1: service: cannot be set here; set it in the gateway's configuration",
		"tls: {ca: /etc/passwd}":                    "annotation:1:1: tls: cannot be set here; set it in the gateway's configuration",
		"<<: {tls: {insecureSkipVerify: true}}":     "annotation:1:6: tls: cannot be set here; set it in the gateway's configuration",
		"<<: [{<<: {endpoints: [\"http://a:1\"]}}]": "annotation:1:12: endpoints: cannot be set here; set it in the gateway's configuration",
		"maxInflight: 3":                            "annotation:1:1: maxInflight: is no known field; did you mean maxInFlight?",
		"balance: session":                          "annotation:1:10: balance: is session, and nothing says what a session is; add session: {header: NAME}, {cookie: NAME} or {clientIP: true}",
		"7":                                         "annotation:1:1: is the number 7; want a mapping with any of endpoints, service, dns, file, engine, metrics, balance, objectives, session, maxInFlight, queue, probe, eject, slowStart, retry, tls, idleConnections, idleTimeout",
	} {
		if _, err := ParseSettings("annotation", []byte(text)); err == nil || err.Error() != want {
			t.Errorf("%q: error\n%v\nwant\n%s", text, err, want)
		}
	}
}

func TestPoolsOf(t *testing.T) {
	settings, err := ParseSettings("annotation", []byte("session: {header: x}"))
	if err != nil {
		t.Fatal(err)
	}
	file := "pools:\n  a.b: {endpoints: [\"http://10.0.0.1:8000\"], balance: random}\n  a: {endpoints: [\"http://10.0.0.2:8000\"]}\n  c: {}\n" +
		"routes: [{split: [{pool: a}]}]\n"
	_, err = ParseOver("penstock.yaml", []byte(file), map[string]*Pool{"a": settings, "a.b": settings})
	if got := PoolsOf(err, []string{"a", "a.b"}); len(got) != 1 || got[0] != "a.b" {
		t.Errorf("of %v: pools %q, want a.b", err, got)
	}
	if got := PoolsOf(nil, []string{"a"}); len(got) != 0 {
		t.Errorf("of no error: pools %q", got)
	}
}
