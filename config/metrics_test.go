package config

import (
	"reflect"
	"testing"
)

func TestPolled(t *testing.T) {
	c := parse(t, `
pools:
  a: {endpoints: ["http://a:1"]}
  b: {endpoints: ["http://a:1"], engine: vllm}
  c: {endpoints: ["http://a:1"], engine: tensorrt-llm}
  d: {endpoints: ["http://a:1"], engine: triton, metrics: {interval: 10s}}
  e: {endpoints: ["http://a:1"], engine: triton, metrics: {port: 0, path: /m}}
  f: {endpoints: ["http://a:1"], engine: dcgm, metrics: {scheme: https, timeout: 1500ms}}
routes: [{split: [{pool: a}]}]
`)
	of := func(path string, port int, scheme string, interval, timeout Duration) *Metrics {
		return &Metrics{Path: path, Port: &port, Scheme: scheme, Interval: interval, Timeout: timeout}
	}
	for name, want := range map[string]*Metrics{
		"a": nil,
		"b": of("/metrics", 0, "auto", 2*second, second),
		"c": of("/prometheus/metrics", 0, "auto", 2*second, second),
		"d": of("/metrics", 8002, "auto", 10*second, second),
		"e": of("/m", 0, "auto", 2*second, second),
		"f": of("/metrics", 9400, "https", 2*second, second+second/2),
	} {
		p := c.Pools[name]
		if got := p.Polled(); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
		if !reflect.DeepEqual(p.Metrics, want) {
			t.Errorf("%s: the configuration has %+v, want what is in force, %+v", name, p.Metrics, want)
		}
	}
	built := DefaultPool
	built.Engine = "vllm"
	if got := built.Polled(); got.Path != "/metrics" || built.Metrics != nil {
		t.Errorf("got %+v of a pool that code built", got)
	}
}

func TestMetricsURL(t *testing.T) {
	for _, c := range []struct {
		endpoint string
		port     int
		scheme   string
		want     string
	}{
		{"http://10.0.0.1:8000", 0, "auto", "http://10.0.0.1:8000/metrics"},
		{"https://a.b:8443", 0, "auto", "https://a.b:8443/metrics"},
		{"h2c://[::1]:8001", 0, "auto", "h2c://[::1]:8001/metrics"},
		{"h2c://[::1]:8001", 8002, "auto", "http://[::1]:8002/metrics"},
		{"https://a.b:8443", 9400, "auto", "http://a.b:9400/metrics"},
		{"https://a.b:8443", 8443, "auto", "https://a.b:8443/metrics"},
		{"https://a.b:8443", 9400, "https", "https://a.b:9400/metrics"},
		{"h2c://a.b:8001", 0, "http", "http://a.b:8001/metrics"},
	} {
		e, err := ParseEndpoint(c.endpoint)
		if err != nil {
			t.Fatal(err)
		}
		m := Metrics{Path: "/metrics", Port: &c.port, Scheme: c.scheme}
		if got := m.URL(e); got != c.want {
			t.Errorf("%s, port %d, %s: got %s, want %s", c.endpoint, c.port, c.scheme, got, c.want)
		}
	}
}
