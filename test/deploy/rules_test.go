package deploy

import (
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	monitoringv1 "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/prometheus/prometheus/promql/parser"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/yaml"
)

const rulesFile = "../../deploy/prometheus/rules.yaml"

// ruleFile is a file of rules as Prometheus reads it, and what a PrometheusRule specifies.
type ruleFile struct {
	Groups []struct {
		Name  string `json:"name"`
		Rules []rule `json:"rules"`
	} `json:"groups"`
}

type rule struct {
	Record      string            `json:"record"`
	Alert       string            `json:"alert"`
	Expr        string            `json:"expr"`
	For         string            `json:"for"`
	Labels      map[string]string `json:"labels"`
	Annotations map[string]string `json:"annotations"`
}

func rules(t *testing.T) (list []rule) {
	t.Helper()
	var file ruleFile
	if err := yaml.UnmarshalStrict(read(t, rulesFile), &file); err != nil {
		t.Fatal(err)
	}
	for _, g := range file.Groups {
		list = append(list, g.Rules...)
	}
	if len(list) < 20 {
		t.Fatalf("found %d rules: the search is broken", len(list))
	}
	return list
}

// TestRuleNames checks that rules name metrics and labels that exist, or that earlier rules recorded, and that recorded ones say by what they are.
func TestRuleNames(t *testing.T) {
	all := documentedMetrics(t)
	for _, r := range rules(t) {
		checkQuery(t, r.Record+r.Alert, r.Expr, all)
		if r.Record != "" {
			all[r.Record] = resultLabels(t, r)
		}
	}
}

// TestRulesTellGatewaysApart checks that rules that are by pool, endpoint or Service are by the gateway's job, too: two gateways may have pools of one name.
func TestRulesTellGatewaysApart(t *testing.T) {
	for _, r := range rules(t) {
		expression, err := parser.NewParser(parser.Options{}).ParseExpr(r.Expr)
		if err != nil {
			t.Fatal(err)
		}
		parser.Inspect(expression, func(n parser.Node, _ []parser.Node) error {
			var by []string
			switch n := n.(type) {
			case *parser.AggregateExpr:
				by = n.Grouping
			case *parser.BinaryExpr:
				if n.VectorMatching != nil {
					by = n.VectorMatching.MatchingLabels
				}
			}
			if len(by) > 0 && !slices.Contains(by, "job") && !slices.Contains(by, "instance") {
				t.Errorf("%s%s adds up gateways: it is by %v", r.Record, r.Alert, by)
			}
			return nil
		})
	}
}

// TestChartsRules checks what values make of the rules: nothing by default, and else objectives and durations of one's own.
func TestChartsRules(t *testing.T) {
	rulesOf := func(values string) map[string]monitoringv1.Rule {
		found := make(map[string]monitoringv1.Rule)
		for _, g := range find(t, combined(t, "prometheusRule: {enabled: true, "+values+"}"), "PrometheusRule", "penstock").typed.(*monitoringv1.PrometheusRule).Spec.Groups {
			for _, r := range g.Rules {
				found[r.Record+r.Alert] = r
			}
		}
		return found
	}
	plain := rulesOf("")
	for _, r := range rules(t) {
		got := plain[r.Record+r.Alert]
		if got.Expr.StrVal != r.Expr || string(ptr.Deref(got.For, "")) != r.For || !maps.Equal(got.Labels, r.Labels) || !maps.Equal(got.Annotations, r.Annotations) {
			t.Errorf("without values the chart has\n%v\nin place of\n%v", got, r)
		}
	}
	if len(plain) != len(rules(t)) {
		t.Errorf("the chart has %d rules, the file %d", len(plain), len(rules(t)))
	}
	own := rulesOf("objectives: {timeToFirstTokenSeconds: 1.5}, pools: {llama: {timeToFirstTokenSeconds: 20, errorRatio: 0.05}}, for: {PenstockNoReadyEndpoint: 10m}")
	for name, want := range map[string]string{
		"pool:penstock_objective_time_to_first_token_seconds": `20 * group by (job, pool) (penstock_queue_limit{pool="llama"}) or 1.5 * group by (job, pool) (penstock_queue_limit)`,
		"pool:penstock_objective_error_ratio":                 `0.05 * group by (job, pool) (penstock_requests_total{pool="llama"}) or 0.005 * group by (job, pool) (penstock_requests_total)`,
	} {
		if got := own[name].Expr.StrVal; got != want {
			t.Errorf("%s is\n%s\nwant\n%s", name, got, want)
		}
		checkQuery(t, name, own[name].Expr.StrVal, documentedMetrics(t))
	}
	if got := *own["PenstockNoReadyEndpoint"].For; got != "10m" {
		t.Errorf("the alert waits %s", got)
	}
}

// resultLabels are the labels of what a rule records: its name begins with what it is by.
func resultLabels(t *testing.T, r rule) []string {
	t.Helper()
	expression, err := parser.NewParser(parser.Options{}).ParseExpr(r.Expr)
	if err != nil {
		t.Fatal(err)
	}
	var grouping []string
	parser.Inspect(expression, func(n parser.Node, _ []parser.Node) error {
		if a, ok := n.(*parser.AggregateExpr); ok && grouping == nil {
			grouping = slices.DeleteFunc(slices.Clone(a.Grouping), func(l string) bool { return l == "le" })
		}
		return nil
	})
	by, _, _ := strings.Cut(r.Record, ":")
	if len(grouping) == 0 || by != grouping[len(grouping)-1] {
		t.Errorf("%s is by %v, and its name says otherwise", r.Record, grouping)
	}
	return grouping
}

// TestAlerts checks that each alert says how bad it is, and has a section in docs/operations.md that says what to do, and a test.
func TestAlerts(t *testing.T) {
	operations, tests := string(read(t, docsDir+"/operations.md")), string(read(t, "../../deploy/prometheus/rules_test.yaml"))
	alerts := make(map[string]bool)
	for _, r := range rules(t) {
		if r.Alert == "" {
			continue
		}
		alerts[r.Alert] = true
		if s := r.Labels["severity"]; s != "critical" && s != "warning" {
			t.Errorf("%s has the severity %q", r.Alert, s)
		}
		want := "https://github.com/penstock/penstock/blob/main/docs/operations.md#" + strings.ToLower(r.Alert)
		if got := r.Annotations["runbook_url"]; got != want {
			t.Errorf("%s has the runbook %q, want %s", r.Alert, got, want)
		}
		if r.Annotations["summary"] == "" {
			t.Errorf("%s has no summary", r.Alert)
		}
		_, section, _ := strings.Cut(operations, "### "+r.Alert+"\n")
		section, _, _ = strings.Cut(section, "\n#")
		if !strings.Contains(section, "**Means**") || !regexp.MustCompile(`(?i)\*\*look\*\*`).MatchString(section) ||
			!regexp.MustCompile(`(?i)\*\*do\*\*`).MatchString(section) {
			t.Errorf("docs/operations.md does not say what %s means, how to look and what to do", r.Alert)
		}
		checkTested(t, r.Alert, tests)
	}
	for _, found := range regexp.MustCompile(`(?m)^### (Penstock\w+)$`).FindAllStringSubmatch(operations, -1) {
		if !alerts[found[1]] {
			t.Errorf("docs/operations.md has a section about %s, which is no alert", found[1])
		}
	}
}

// checkTested checks that promtool is told when the alert fires and when it does not.
func checkTested(t *testing.T, alert, tests string) {
	t.Helper()
	if !regexp.MustCompile(`- alertname: ` + alert + `\n +eval_time: \w+\n +exp_alerts:\n`).MatchString(tests) {
		t.Errorf("no test has %s firing", alert)
	}
	if !strings.Contains(tests, "{alertname: "+alert+", ") {
		t.Errorf("no test has %s not firing", alert)
	}
}

// TestChartHasRulesAndDashboard holds the chart's copies against what they are copies of.
func TestChartHasRulesAndDashboard(t *testing.T) {
	for copied, from := range copies {
		checkFile(t, copied, read(t, from))
	}
	objects := renderObjects(t, "testdata/values/everything.yaml")
	rule := find(t, objects, "PrometheusRule", "penstock").typed.(*monitoringv1.PrometheusRule)
	if n := len(rule.Spec.Groups); n != 3 || rule.Labels["release"] != "prometheus" {
		t.Errorf("the PrometheusRule has %d groups and the labels %v", n, rule.Labels)
	}
	for _, o := range renderObjects(t, "testdata/values/default.yaml") {
		if o.kind() == "PrometheusRule" || strings.HasSuffix(o.typed.GetName(), "-dashboard") {
			t.Errorf("%s was not asked for", o.id())
		}
	}
}

// TestMonitorsKeepLabels checks that scrapes leave the gateway its labels namespace, service and endpoint, and that the job names the namespace, as it
// does for a PodMonitor.
func TestMonitorsKeepLabels(t *testing.T) {
	for _, m := range all[*monitoringv1.ServiceMonitor](renderObjects(t, "testdata/values/everything.yaml")) {
		if r := m.Spec.Endpoints[0].RelabelConfigs; len(r) != 1 || r[0].TargetLabel != "job" || *r[0].Separator != "/" || r[0].SourceLabels[0] != "__meta_kubernetes_namespace" {
			t.Errorf("the job is made by %v", r)
		}
		if !m.Spec.Endpoints[0].HonorLabels {
			t.Error("the ServiceMonitor replaces labels")
		}
	}
	for _, m := range all[*monitoringv1.PodMonitor](renderObjects(t, "testdata/values/pod-monitor.yaml")) {
		if !m.Spec.PodMetricsEndpoints[0].HonorLabels {
			t.Error("the PodMonitor replaces labels")
		}
	}
}
