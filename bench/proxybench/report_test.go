package main

import (
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// sample is a report of two rounds of json64 with known figures: each proxy took nanos of CPU time for 1000 requests a second.
func sample(t *testing.T, nanos map[string][2]int64) *report {
	t.Helper()
	chosen, err := pick(scenarios(true, 10), []string{"json64"})
	if err != nil {
		t.Fatal(err)
	}
	var proxies []proxy
	for _, p := range table("") {
		if _, ok := nanos[p.name]; ok {
			p.version = nil
			proxies = append(proxies, p)
		}
	}
	r := newReport(options{rounds: 2}, []string{"--quick"}, chosen, proxies)
	for _, p := range proxies {
		for round, cpu := range nanos[p.name] {
			if cpu == 0 {
				r.invalid("json64", p.name, round, errors.New("it broke"))
				continue
			}
			result := loadResult{Requests: 1000, Nanos: 1e9, Proxy: usage{CPU: cpu}, ProxyCore: coreTime{Busy: 50, Total: 100}}
			r.add(chosen[0], p.name, round, outcome{results: []loadResult{result}, proxied: p.args != nil})
		}
	}
	return r
}

func TestReportHasMediansAndRatios(t *testing.T) {
	// nginx is invalid in round 2, so that only round 1 counts for it.
	r := sample(t, map[string][2]int64{nameDirect: {1, 1}, nameHAProxy: {10e6, 20e6}, nameNginx: {15e6, 0}})
	var text strings.Builder
	dir := t.TempDir()
	if err := r.write(dir, &text); err != nil {
		t.Fatal(err)
	}
	haproxy, nginx := r.entry("json64", nameHAProxy).Values["cpu"], r.entry("json64", nameNginx).Values["cpu"]
	if want := (spread{Median: 15, Min: 10, Max: 20, Rounds: 2}); haproxy.Spread != want {
		t.Errorf("HAProxy: %+v, want %+v", haproxy.Spread, want)
	}
	if want := (spread{Median: 1.5, Min: 1.5, Max: 1.5, Rounds: 1}); *nginx.Ratio != want {
		t.Errorf("ratio of nginx: %+v, want %+v", *nginx.Ratio, want)
	}
	if direct := r.entry("json64", nameDirect).Values["cpu"]; !math.IsNaN(float64(direct.Rounds[0])) {
		t.Errorf("direct has a CPU time per request: %v", direct.Rounds)
	}
	if err := r.validity(); err == nil || !strings.Contains(err.Error(), "json64 through nginx, round 2: it broke") {
		t.Errorf("validity = %v", err)
	}
	markdown, err := os.ReadFile(filepath.Join(dir, "proxybench.md"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"go run ./bench/proxybench --quick", "| nginx | 15.00 | 15.00–15.00 | 1.50 | 1.50–1.50 |", "INVALID"} {
		if !strings.Contains(string(markdown), want) {
			t.Errorf("the Markdown lacks %q:\n%s", want, markdown)
		}
	}
	encoded, err := os.ReadFile(filepath.Join(dir, "proxybench.json"))
	if err != nil {
		t.Fatal(err)
	}
	if !json.Valid(encoded) || !strings.Contains(string(encoded), "null") {
		t.Errorf("a missing value is not null in the JSON:\n%s", encoded)
	}
}

func TestFindingsDoubtTheFigures(t *testing.T) {
	r := sample(t, map[string][2]int64{nameDirect: {1, 1}, nameHAProxy: {10e6, 20e6}})
	r.summarize()
	notes := strings.Join(r.Notes, "\n")
	for _, want := range []string{"NOT clearly more", "not all were the limit", "DISTURBED: up to 48 % of the proxy's core"} {
		if !strings.Contains(notes, want) {
			t.Errorf("the notes lack %q:\n%s", want, notes)
		}
	}
}

func TestTargetsAreJudged(t *testing.T) {
	// In the first round Penstock takes 1.5 times as long as HAProxy, in the second 0.5 times.
	r := sample(t, map[string][2]int64{nameHAProxy: {10e6, 20e6}, namePenstock: {15e6, 10e6}})
	part := r.section("json64")
	for _, c := range []struct {
		target target
		want   string
	}{
		{target{"cpu", nameHAProxy, 1}, "Target met: CPU µs/request of json64 is 1.00 times haproxy's (0.50–1.50); it should be at most 1.00."},
		{target{"cpu", nameHAProxy, 0.9}, "TARGET MISSED: CPU µs/request of json64 is 1.00 times haproxy's (0.50–1.50); it should be at most 0.90."},
		{target{"cpu", noBase, 20}, "Target met: CPU µs/request of json64 is 12.50 (10.00–15.00); it should be at most 20.00."},
		{target{"cpu", nameGRPCRelay, 1}, ""},
	} {
		part.scenario.targets = []target{c.target}
		r.summarize()
		if got := strings.Join(r.targetFindings(), "\n"); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// TestTargetsNameMetrics keeps every target to a metric that its scenario has.
func TestTargetsNameMetrics(t *testing.T) {
	for _, s := range scenarios(true, 10) {
		for _, target := range s.targets {
			if !slices.ContainsFunc(s.columns, func(m metric) bool { return m.key == target.metric }) {
				t.Errorf("%s has a target for %q, which it does not measure", s.name, target.metric)
			}
		}
	}
}

func TestAddedLatencyAndGain(t *testing.T) {
	through, direct := loadResult{P99: 500, Requests: 300, Nanos: 1e9}, loadResult{P99: 200}
	o := outcome{results: []loadResult{through, through}, proxied: true, direct: &direct, single: 500}
	if got := addedLatency("", "", p99).of(o); got != 300 {
		t.Errorf("added latency is %v, want 300", got)
	}
	if got := gain().of(o); got != 1.2 {
		t.Errorf("gain is %v, want 1.2", got)
	}
	if got := addedLatency("", "", p99).of(outcome{results: o.results, proxied: true}); !math.IsNaN(got) {
		t.Errorf("added latency without a direct measurement is %v", got)
	}
}
