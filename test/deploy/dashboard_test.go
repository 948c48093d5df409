package deploy

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/grafana/grafana-foundation-sdk/go/cog/plugins"
	grafana "github.com/grafana/grafana-foundation-sdk/go/dashboard"
	corev1 "k8s.io/api/core/v1"
)

const dashboardFile = "../../deploy/grafana/penstock.json"

// dashboard is what tests look at in Grafana's model of one.
type dashboard struct {
	UID           string `json:"uid"`
	SchemaVersion int    `json:"schemaVersion"`
	Templating    struct {
		List []struct {
			Name  string `json:"name"`
			Type  string `json:"type"`
			Query any    `json:"query"` // text, or an object that has it
		} `json:"list"`
	} `json:"templating"`
	Panels []struct {
		ID      int    `json:"id"`
		Type    string `json:"type"`
		Title   string `json:"title"`
		GridPos struct {
			H, W, X, Y int
		} `json:"gridPos"`
		Datasource *struct{ UID string } `json:"datasource"`
		Targets    []struct {
			RefID        string `json:"refId"`
			Expr         string `json:"expr"`
			LegendFormat string `json:"legendFormat"`
		} `json:"targets"`
	} `json:"panels"`
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	if err := json.Unmarshal(read(t, dashboardFile), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Panels) < 30 || d.SchemaVersion < 39 || d.UID == "" {
		t.Fatalf("%d panels, schema %d, uid %q", len(d.Panels), d.SchemaVersion, d.UID)
	}
	return d
}

// filled is a query with values for Grafana's variables, those of the dashboard among them.
func filled(t *testing.T, d *dashboard, query string) string {
	t.Helper()
	query = strings.ReplaceAll(query, "$__rate_interval", "5m")
	for _, v := range d.Templating.List {
		query = strings.ReplaceAll(query, "$"+v.Name, "any")
	}
	if strings.Contains(query, "$") {
		t.Errorf("a variable that the dashboard does not have: %s", query)
	}
	return query
}

// TestDashboardIsGrafanas reads the dashboard by the types that Grafana's own schemas are made of: no field is unknown, missing or of another type.
func TestDashboardIsGrafanas(t *testing.T) {
	plugins.RegisterDefaultPlugins() // for what panels and queries have
	var d grafana.Dashboard
	err := d.UnmarshalJSONStrict(read(t, dashboardFile))
	var wrong []string
	for _, line := range strings.Split(fmt.Sprint(err), "\n") {
		// Of a data source nobody has chosen one yet: Grafana takes the first.
		if !regexp.MustCompile(`^templating\.list\[0\]\.current\.(text|value): required field is missing`).MatchString(line) {
			wrong = append(wrong, line)
		}
	}
	if len(wrong) > 0 {
		t.Error(strings.Join(wrong, "\n"))
	}
	if err := d.Validate(); err != nil {
		t.Error(err)
	}
	text := strings.Replace(string(read(t, dashboardFile)), `"showLegend"`, `"showLegends"`, 1)
	if err := d.UnmarshalJSONStrict([]byte(text)); err == nil || !strings.Contains(err.Error(), "showLegends") {
		t.Errorf("a field that is unknown is not found: %v", err)
	}
}

// TestDashboardQueries parses every query, and holds its names, and the labels of its legend, against docs/metrics.md.
func TestDashboardQueries(t *testing.T) {
	d, all := readDashboard(t), documentedMetrics(t)
	for _, p := range d.Panels {
		if p.Type != "row" && len(p.Targets) == 0 {
			t.Errorf("%s asks nothing", p.Title)
		}
		for _, target := range p.Targets {
			query := filled(t, &d, target.Expr)
			checkQuery(t, p.Title, query, all)
			if m := regexp.MustCompile(`\b(penstock|process)_\w+(\{job=~"\$job")?`).FindAllStringSubmatch(target.Expr, -1); slices.ContainsFunc(m, func(m []string) bool { return m[2] == "" }) {
				t.Errorf("%s adds up gateways, whatever job is chosen\n%s", p.Title, target.Expr)
			}
			for _, l := range regexp.MustCompile(`{{(\w+)}}`).FindAllStringSubmatch(target.LegendFormat, -1) {
				if strings.Contains(query, " by (") && !regexp.MustCompile(`by \([^)]*\b`+l[1]+`\b`).MatchString(query) {
					t.Errorf("%s: the legend has %s, which the query sums up\n%s", p.Title, l[1], query)
				}
			}
		}
	}
	for _, v := range d.Templating.List {
		if fields, ok := v.Query.(map[string]any); ok {
			values := regexp.MustCompile(`^label_values\((.*), (\w+)\)$`).FindStringSubmatch(filled(t, &d, fields["query"].(string)))
			if values == nil {
				t.Errorf("variable %s asks for no label's values", v.Name)
				continue
			}
			checkQuery(t, "variable "+v.Name, "count by ("+values[2]+") ("+values[1]+")", all)
		}
	}
}

// TestDashboardShowsEveryMetric checks that there is no metric that nobody looks at, but for those of single moments.
func TestDashboardShowsEveryMetric(t *testing.T) {
	text := string(read(t, dashboardFile))
	for _, row := range regexp.MustCompile("(?m)^\\| `(penstock_[a-z_]+)`").FindAllStringSubmatch(string(read(t, docsDir+"/metrics.md")), -1) {
		switch row[1] {
		case "penstock_config_generation", "penstock_config_reloads_total", "penstock_config_last_success_timestamp_seconds",
			"penstock_discovery_last_update_timestamp_seconds", "penstock_outstanding_requests", "penstock_endpoint_running_requests", "penstock_admin_denied_total", "penstock_traces_dropped_total":
			continue
		}
		if !strings.Contains(text, row[1]) {
			t.Errorf("the dashboard does not show %s", row[1])
		}
	}
}

// TestDashboardLayout checks that panels have ids of their own, lie side by side within the width of a page, and ask the chosen data source.
func TestDashboardLayout(t *testing.T) {
	d := readDashboard(t)
	ids, taken := make(map[int]string), make(map[[2]int]string)
	rows := 0
	for _, p := range d.Panels {
		if other, ok := ids[p.ID]; ok {
			t.Errorf("%s and %s have the id %d", p.Title, other, p.ID)
		}
		ids[p.ID] = p.Title
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok || x >= 24 {
					t.Fatalf("%s lies over %q, or outside of the page", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if p.Type == "row" {
			rows++
		} else if p.Datasource == nil || p.Datasource.UID != "${datasource}" {
			t.Errorf("%s has a data source of its own", p.Title)
		}
	}
	if rows < 8 {
		t.Errorf("%d rows", rows)
	}
}

// TestDashboardConfigMap checks that the chart brings the dashboard unchanged, under the label that Grafana's sidecar looks for.
func TestDashboardConfigMap(t *testing.T) {
	objects := renderObjects(t, "testdata/values/everything.yaml")
	m := find(t, objects, "ConfigMap", "penstock-dashboard").typed.(*corev1.ConfigMap)
	if strings.TrimSpace(m.Data["penstock.json"]) != strings.TrimSpace(string(read(t, dashboardFile))) {
		t.Error("the ConfigMap has another dashboard")
	}
	if m.Labels["grafana_dashboard"] != "1" || m.Labels["dashboards"] != "inference" {
		t.Errorf("its labels are %v", m.Labels)
	}
}
