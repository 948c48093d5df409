package gateway

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstock/penstock/gateway/dispatch"
)

func doc(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile("../docs/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// documentedMetric is a row of a table of docs/metrics.md.
type documentedMetric struct{ kind, labels string }

// documentedMetrics reads docs/metrics.md.
func documentedMetrics(t *testing.T) map[string]documentedMetric {
	t.Helper()
	found := make(map[string]documentedMetric)
	rows := regexp.MustCompile("(?m)^\\| `(penstock_[a-z_]+)` \\| (\\w+) \\| ([a-z_, ]*?) *\\| ([^|]+) \\| ([^|]+) \\| ([^|]+) \\|$")
	for _, row := range rows.FindAllStringSubmatch(doc(t, "metrics.md"), -1) {
		if _, ok := found[row[1]]; ok {
			t.Errorf("docs/metrics.md has %s twice", row[1])
		}
		labels := strings.FieldsFunc(row[3], func(r rune) bool { return r == ',' || r == ' ' })
		slices.Sort(labels)
		found[row[1]] = documentedMetric{row[2], strings.Join(labels, " ")}
	}
	return found
}

// describedMetrics are the labels of every metric that is registered.
func describedMetrics(t *testing.T, m *metrics) map[string]string {
	t.Helper()
	found := make(map[string]string)
	descs := make(chan *prometheus.Desc, 256)
	m.registry.Describe(descs)
	close(descs)
	described := regexp.MustCompile(`fqName: "(penstock_[a-z_]*)".* constLabels: {(.*)}, variableLabels: {(.*)}}`)
	for d := range descs {
		match := described.FindStringSubmatch(d.String())
		if match == nil {
			continue
		}
		var labels []string
		for _, l := range strings.Split(match[2]+","+match[3], ",") {
			if name, _, _ := strings.Cut(l, "="); name != "" {
				labels = append(labels, name)
			}
		}
		slices.Sort(labels)
		found[match[1]] = strings.Join(labels, " ")
	}
	return found
}

// TestMetricsAreDocumented keeps docs/metrics.md complete, and free of metrics and labels that do not exist.
func TestMetricsAreDocumented(t *testing.T) {
	o := newObserved(t, false)
	o.finish(o.requestOf(t, "main"), 503)
	o.metrics.discovery.add("main")
	exist, documented := describedMetrics(t, o.metrics), documentedMetrics(t)
	if len(exist) < 40 || len(documented) < 40 {
		t.Fatalf("found %d metrics and %d rows: the search is broken", len(exist), len(documented))
	}
	for name, labels := range exist {
		row, ok := documented[name]
		switch {
		case !ok:
			t.Errorf("docs/metrics.md has no row for %s", name)
		case row.labels != labels:
			t.Errorf("docs/metrics.md says that %s has the labels %q, it has %q", name, row.labels, labels)
		case (row.kind == "counter") != strings.HasSuffix(name, "_total"):
			t.Errorf("%s is a %s, and its name says otherwise", name, row.kind)
		}
	}
	for name := range documented {
		if _, ok := exist[name]; !ok {
			t.Errorf("docs/metrics.md has %s, which does not exist", name)
		}
	}
	families, err := o.metrics.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if kind := strings.ToLower(f.GetType().String()); strings.HasPrefix(f.GetName(), namespace) && documented[f.GetName()].kind != kind {
			t.Errorf("docs/metrics.md says that %s is a %s, it is a %s", f.GetName(), documented[f.GetName()].kind, kind)
		}
	}
}

// TestDocumentsNameMetrics finds metrics in other documents that do not exist, with labels that they do not have.
func TestDocumentsNameMetrics(t *testing.T) {
	exist := describedMetrics(t, newMetrics(func() []*dispatch.Pool { return nil }, func() int { return 0 }, func() uint64 { return 0 }))
	for _, found := range regexp.MustCompile("`(penstock_[a-z_]*[a-z])(?:{([a-z_,]+)[^`]*})?`").FindAllStringSubmatch(doc(t, "operations.md"), -1) {
		labels, ok := exist[found[1]]
		if !ok {
			t.Errorf("docs/operations.md names %s, which does not exist", found[1])
		}
		for _, l := range strings.Split(found[2], ",") {
			if l != "" && !slices.Contains(strings.Fields(labels), l) {
				t.Errorf("docs/operations.md says that %s has the label %s, it has %s", found[1], l, labels)
			}
		}
	}
}

// TestRefusalsAreDocumented holds the table for operators against that of package dispatch.
func TestRefusalsAreDocumented(t *testing.T) {
	operations := doc(t, "operations.md")
	source, err := os.ReadFile("dispatch/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`(?m)^//	\d{3}     ([a-z_]+)`).FindAllStringSubmatch(string(source), -1)
	if len(codes) < 10 {
		t.Fatalf("found %d codes: the search is broken", len(codes))
	}
	for _, c := range codes {
		if !strings.Contains(operations, "`"+c[1]+"`") {
			t.Errorf("docs/operations.md does not name the code %s", c[1])
		}
	}
}
