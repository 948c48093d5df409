package deploy

import (
	"maps"
	"path"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

func loadChart(t *testing.T) *chart.Chart {
	t.Helper()
	c, err := loader.LoadDir(chartDir)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// values reads a values file as Helm does.
func values(t *testing.T, data []byte) map[string]any {
	t.Helper()
	v, err := loader.LoadValues(strings.NewReader(string(data)))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// render is helm template penstock --namespace penstock. A nil cluster has nothing to look up.
func render(t *testing.T, v map[string]any, cluster engine.ClientProvider) (map[string]string, error) {
	t.Helper()
	return renderRelease(t, common.ReleaseOptions{Name: "penstock", Namespace: "penstock", Revision: 1, IsInstall: true}, v, cluster)
}

func renderRelease(t *testing.T, release common.ReleaseOptions, v map[string]any, cluster engine.ClientProvider) (map[string]string, error) {
	t.Helper()
	c := loadChart(t)
	all, err := util.ToRenderValues(c, v, release, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	if cluster != nil {
		return engine.RenderWithClientProvider(c, all, cluster)
	}
	return engine.Render(c, all)
}

// renderObjects renders the chart with the values file, and returns its objects in an order that stays.
func renderObjects(t *testing.T, valuesFile string) []object {
	t.Helper()
	files, err := render(t, values(t, read(t, valuesFile)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return objectsOf(t, files)
}

// renderAs renders the chart as a release in a namespace, with values that are YAML.
func renderAs(t *testing.T, release, namespace, text string) []object {
	t.Helper()
	files, err := renderRelease(t, common.ReleaseOptions{Name: release, Namespace: namespace, Revision: 1, IsInstall: true}, values(t, []byte(text)), nil)
	if err != nil {
		t.Fatal(err)
	}
	return objectsOf(t, files)
}

func objectsOf(t *testing.T, files map[string]string) (objects []object) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if ext := path.Ext(name); ext != ".yaml" {
			continue
		}
		objects = append(objects, parseObjects(t, name, []byte(files[name]))...)
	}
	sortObjects(objects)
	return objects
}

// configOf is the gateway's configuration in the chart's ConfigMap.
func configOf(t *testing.T, objects []object) (text []byte, fields map[string]any) {
	t.Helper()
	data := find(t, objects, "ConfigMap", "penstock").fields["data"].(map[string]any)
	text = []byte(data["penstock.yaml"].(string))
	if err := yaml.UnmarshalStrict(text, &fields); err != nil {
		t.Fatal(err)
	}
	return text, fields
}
