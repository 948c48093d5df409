package gateway

import (
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/penstock/penstock/gateway/dispatch"
)

func operationsDoc(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestMetricsAreDocumented keeps docs/operations.md complete, and free of metrics that do not exist.
func TestMetricsAreDocumented(t *testing.T) {
	doc := operationsDoc(t)
	m := newMetrics(func() []*dispatch.Pool { return nil }, func() int { return 0 }, func() uint64 { return 0 })
	exist := make(map[string]bool)
	descs := make(chan *prometheus.Desc, 256)
	m.registry.Describe(descs)
	close(descs)
	name := regexp.MustCompile(`fqName: "(penstock_[a-z_]*)"`)
	for d := range descs {
		if found := name.FindStringSubmatch(d.String()); found != nil {
			exist[found[1]] = true
		}
	}
	if len(exist) < 20 {
		t.Fatalf("found %d metrics: the search is broken", len(exist))
	}
	for n := range exist {
		family := n[:strings.IndexByte(n[len("penstock_"):], '_')+len("penstock_")]
		if !strings.Contains(doc, "`"+n) && !strings.Contains(doc, "`"+family+"_*`") {
			t.Errorf("docs/operations.md does not name %s", n)
		}
	}
	for _, found := range regexp.MustCompile("`(penstock_[a-z_]*[a-z])[{`]").FindAllStringSubmatch(doc, -1) {
		if !exist[found[1]] {
			t.Errorf("docs/operations.md names %s, which does not exist", found[1])
		}
	}
}

// TestRefusalsAreDocumented holds the table for operators against that of package dispatch.
func TestRefusalsAreDocumented(t *testing.T) {
	doc := operationsDoc(t)
	source, err := os.ReadFile("dispatch/doc.go")
	if err != nil {
		t.Fatal(err)
	}
	codes := regexp.MustCompile(`(?m)^//	\d{3}     ([a-z_]+)`).FindAllStringSubmatch(string(source), -1)
	if len(codes) < 10 {
		t.Fatalf("found %d codes: the search is broken", len(codes))
	}
	for _, c := range codes {
		if !strings.Contains(doc, "`"+c[1]+"`") {
			t.Errorf("docs/operations.md does not name the code %s", c[1])
		}
	}
}
