package deploy

import (
	"bytes"
	"cmp"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

const generated = "# Made of the chart by go test -update in test/deploy; do not edit.\n"

// overlays are the folders of deploy/manifests beside base.
var overlays = []string{"autoscale", "keda", "prometheus"}

// manifestValues are the values of an overlay over those of base.
func manifestValues(t *testing.T, overlay string) map[string]any {
	t.Helper()
	base := values(t, read(t, "testdata/manifests/base.yaml"))
	if overlay == "base" {
		return base
	}
	return loader.MergeMaps(base, values(t, read(t, "testdata/manifests/"+overlay+".yaml")))
}

// manifests is what the chart makes, without the labels that say that Helm did.
func manifests(t *testing.T, overlay string) []object {
	t.Helper()
	data, err := yaml.Marshal(manifestValues(t, overlay))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, data, 0o644); err != nil {
		t.Fatal(err)
	}
	objects := renderObjects(t, file)
	for _, o := range objects {
		labels := o.fields["metadata"].(map[string]any)["labels"].(map[string]any)
		delete(labels, "helm.sh/chart")
		delete(labels, "app.kubernetes.io/managed-by")
	}
	return objects
}

// TestManifests checks that the plain manifests are the chart's: that their files are what is made of it, and that kustomize makes the chart's
// objects of them.
func TestManifests(t *testing.T) {
	base := manifests(t, "base")
	checkFile(t, manifestsDir+"/base/penstock.yaml", stream(t, base))
	for _, overlay := range overlays {
		added, changed := difference(base, manifests(t, overlay))
		dir := manifestsDir + "/components/" + overlay
		checkFile(t, dir+"/added.yaml", stream(t, added))
		if len(changed) > 0 {
			checkFile(t, dir+"/changed.yaml", stream(t, changed))
		}
	}
	for dir, values := range map[string]string{"": "base", "base": "base", "autoscale": "autoscale", "keda": "keda", "prometheus": "prometheus"} {
		t.Run("kustomize "+dir, func(t *testing.T) {
			got := withoutNamespace(t, kustomize(t, filepath.Join(manifestsDir, dir)))
			compareObjects(t, got, manifests(t, values))
			checkSecurity(t, got)
		})
	}
}

// TestComponentsCombine builds the example of the manifests' README.
func TestComponentsCombine(t *testing.T) {
	manifestsPath, err := filepath.Abs(manifestsDir)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	relative, err := filepath.Rel(dir, manifestsPath)
	if err != nil {
		t.Fatal(err)
	}
	_, example, _ := strings.Cut(string(read(t, manifestsDir+"/README.md")), "```yaml\n")
	example, _, _ = strings.Cut(example, "```")
	example = strings.ReplaceAll(example, "deploy/manifests", relative)
	const config = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: penstock}\ndata: {penstock.yaml: 'pools: {}'}\n"
	for name, text := range map[string]string{"kustomization.yaml": example, "penstock.yaml": config} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	objects := kustomize(t, dir)
	find(t, objects, "PodMonitor", "penstock")
	find(t, objects, "APIService", "v1beta1.external.metrics.k8s.io")
	if text, _ := configOf(t, objects); string(text) != "pools: {}" {
		t.Errorf("the configuration is %s", text)
	}
	if image := gatewayPod(t, objects).Spec.Containers[0].Image; image != "registry.example.com/penstock:1.0" {
		t.Errorf("the image is %s", image)
	}
}

func kustomize(t *testing.T, dir string) []object {
	t.Helper()
	resources, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		t.Fatal(err)
	}
	data, err := resources.AsYaml()
	if err != nil {
		t.Fatal(err)
	}
	objects := parseObjects(t, dir, data)
	sortObjects(objects)
	return objects
}

// withoutNamespace takes away the Namespace, which the chart leaves to whoever installs it.
func withoutNamespace(t *testing.T, objects []object) []object {
	t.Helper()
	n := find(t, objects, "Namespace", "penstock")
	if level := n.typed.GetLabels()["pod-security.kubernetes.io/enforce"]; level != "restricted" {
		t.Errorf("pods in the namespace are %q", level)
	}
	return slices.DeleteFunc(objects, func(o object) bool { return o.kind() == "Namespace" })
}

func compareObjects(t *testing.T, got, want []object) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || got[i].id() != want[i].id() {
			t.Fatalf("kustomize makes %s, the chart %s", ids(got), ids(want))
		}
		if !reflect.DeepEqual(inOrder(got[i].fields), inOrder(want[i].fields)) {
			t.Errorf("kustomize makes\n%swant\n%s", stream(t, got[i:i+1]), stream(t, want[i:i+1]))
		}
	}
}

func ids(objects []object) string {
	var list []string
	for _, o := range objects {
		list = append(list, o.id())
	}
	return strings.Join(list, ", ")
}

// inOrder returns v with lists of named things in the order of their names, as merging shuffles ports.
func inOrder(v any) any {
	switch v := v.(type) {
	case map[string]any:
		ordered := make(map[string]any, len(v))
		for k := range v {
			ordered[k] = inOrder(v[k])
		}
		return ordered
	case []any:
		ordered := make([]any, len(v))
		for i := range v {
			ordered[i] = inOrder(v[i])
		}
		name := func(v any) string {
			fields, _ := v.(map[string]any)
			name, _ := fields["name"].(string)
			return name
		}
		slices.SortStableFunc(ordered, func(a, b any) int { return cmp.Compare(name(a), name(b)) })
		return ordered
	}
	return v
}

// difference returns the objects that over has and base has not, and patches for those that differ.
func difference(base, over []object) (added, changed []object) {
	there := make(map[string]object)
	for _, o := range base {
		there[o.id()] = o
	}
	for _, o := range over {
		old, ok := there[o.id()]
		if !ok {
			added = append(added, o)
		} else if !reflect.DeepEqual(old.fields, o.fields) {
			patch := changes(old.fields, o.fields)
			patch["apiVersion"], patch["kind"] = o.fields["apiVersion"], o.fields["kind"]
			patch["metadata"] = map[string]any{"name": o.typed.GetName(), "namespace": o.typed.GetNamespace()}
			changed = append(changed, object{o.source, patch, o.typed})
		}
	}
	return added, changed
}

// changes are the fields of over that base has not or has otherwise.
func changes(base, over map[string]any) map[string]any {
	patch := make(map[string]any)
	for k, v := range over {
		if reflect.DeepEqual(base[k], v) {
			continue
		}
		patch[k] = v
		switch old := base[k].(type) {
		case map[string]any:
			patch[k] = changes(old, v.(map[string]any))
		case []any:
			patch[k] = changedItems(old, v.([]any))
		}
	}
	return patch
}

// changedItems are the items of over that base has not or has otherwise, all of which have names: containers, volumes and ports.
func changedItems(base, over []any) []any {
	there := make(map[any]map[string]any)
	for _, item := range base {
		there[item.(map[string]any)["name"]] = item.(map[string]any)
	}
	var items []any
	for _, item := range over {
		fields := item.(map[string]any)
		old, ok := there[fields["name"]]
		if !ok {
			items = append(items, fields)
		} else if !reflect.DeepEqual(old, fields) {
			patch := changes(old, fields)
			patch["name"] = fields["name"]
			items = append(items, patch)
		}
	}
	return items
}

func stream(t *testing.T, objects []object) []byte {
	t.Helper()
	text := bytes.NewBufferString(generated)
	for i, o := range objects {
		if i > 0 {
			text.WriteString("---\n")
		}
		data, err := yaml.Marshal(o.fields)
		if err != nil {
			t.Fatal(err)
		}
		text.Write(data)
	}
	return text.Bytes()
}
