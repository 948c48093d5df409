package deploy

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// known is what queries may name: metrics, each with its labels.
type known map[string][]string

// targetLabels are given to every series by the scrape.
var targetLabels = []string{"instance", "job", "pod"}

// documentedMetrics reads the tables of docs/metrics.md, which a test of the gateway holds against the program.
func documentedMetrics(t *testing.T) known {
	t.Helper()
	found := known{"process_cpu_seconds_total": targetLabels, "process_resident_memory_bytes": targetLabels}
	rows := regexp.MustCompile("(?m)^\\| `(penstock_[a-z_]+)` \\| (\\w+) \\| ([a-z_, ]*?) *\\|").FindAllStringSubmatch(string(read(t, docsDir+"/metrics.md")), -1)
	if len(rows) < 40 {
		t.Fatalf("found %d metrics: the search is broken", len(rows))
	}
	for _, row := range rows {
		names := strings.FieldsFunc(row[3], func(r rune) bool { return r == ',' || r == ' ' })
		names = append(names, targetLabels...)
		found[row[1]] = names
		if row[2] == "histogram" {
			found[row[1]+"_count"], found[row[1]+"_sum"] = names, names
			found[row[1]+"_bucket"] = append(slices.Clone(names), "le")
		}
	}
	return found
}

// checkQuery parses a query and reports what it names that is not known: metrics, labels that they do not have, and labels to group or match by
// that nothing below has.
func checkQuery(t *testing.T, where, query string, all known) {
	t.Helper()
	expression, err := parser.NewParser(parser.Options{}).ParseExpr(query)
	if err != nil {
		t.Errorf("%s: %v\n%s", where, err, query)
		return
	}
	for _, wrong := range wrongNames(expression, all) {
		t.Errorf("%s: %s\n%s", where, wrong, query)
	}
}

func wrongNames(expression parser.Expr, all known) (wrong []string) {
	parser.Inspect(expression, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			has, ok := all[n.Name]
			if !ok {
				wrong = append(wrong, "there is no metric "+n.Name)
			}
			for _, m := range n.LabelMatchers {
				if ok && m.Name != labels.MetricName && !slices.Contains(has, m.Name) {
					wrong = append(wrong, n.Name+" has no label "+m.Name)
				}
			}
		case *parser.AggregateExpr:
			wrong = append(wrong, missing(n, n.Grouping, all)...)
		case *parser.BinaryExpr:
			if n.VectorMatching != nil {
				wrong = append(wrong, missing(n, n.VectorMatching.MatchingLabels, all)...)
			}
		}
		return nil
	})
	return wrong
}

// missing are names of labels that no metric within the node has.
func missing(node parser.Node, names []string, all known) (wrong []string) {
	has := make(map[string]bool)
	parser.Inspect(node, func(n parser.Node, _ []parser.Node) error {
		if s, ok := n.(*parser.VectorSelector); ok {
			for _, l := range all[s.Name] {
				has[l] = true
			}
		}
		return nil
	})
	for _, name := range names {
		if !has[name] {
			wrong = append(wrong, "nothing there has a label "+name+", but "+strings.Join(slices.Sorted(maps.Keys(has)), ", "))
		}
	}
	return wrong
}

// TestWrongQueriesAreFound keeps the check itself honest.
func TestWrongQueriesAreFound(t *testing.T) {
	all := documentedMetrics(t)
	for query, want := range map[string]string{
		`sum by (pool) (penstock_queue_depth)`:                                         "",
		`sum by (route) (penstock_queue_depth)`:                                        "nothing there has a label route",
		`penstock_queue_depths`:                                                        "there is no metric penstock_queue_depths",
		`penstock_queue_depth{endpoint="a"}`:                                           "penstock_queue_depth has no label endpoint",
		`penstock_pick_duration_seconds_bucket{le="1"}`:                                "",
		`penstock_queue_depth{le="1"}`:                                                 "has no label le",
		`penstock_queue_depth / on (service) penstock_queue_limit`:                     "nothing there has a label service",
		`rate(penstock_requests_total{code="200"}[5m]) and on (pool) penstock_queue_x`: "there is no metric penstock_queue_x",
	} {
		expression, err := parser.NewParser(parser.Options{}).ParseExpr(query)
		if err != nil {
			t.Fatal(err)
		}
		got := strings.Join(wrongNames(expression, all), "; ")
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}

// TestDocumentedQueries parses the queries of docs/metrics.md.
func TestDocumentedQueries(t *testing.T) {
	all := documentedMetrics(t)
	blocks := regexp.MustCompile("(?ms)^```promql\n(.*?)^```").FindAllStringSubmatch(string(read(t, docsDir+"/metrics.md")), -1)
	if len(blocks) < 10 {
		t.Fatalf("found %d queries: the search is broken", len(blocks))
	}
	for _, b := range blocks {
		checkQuery(t, "docs/metrics.md", b[1], all)
	}
}
