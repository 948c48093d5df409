package deploy

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"helm.sh/helm/v4/pkg/strvals"
)

const docsDir = "../../docs"

// documented are the YAML blocks of a document.
func documented(t *testing.T, file string) (blocks []string) {
	t.Helper()
	for _, b := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllStringSubmatch(string(read(t, file)), -1) {
		blocks = append(blocks, b[1])
	}
	if len(blocks) == 0 {
		t.Fatalf("%s has no YAML", file)
	}
	return blocks
}

// TestDocumentedObjects parses the Kubernetes objects in the documents, strictly.
func TestDocumentedObjects(t *testing.T) {
	for file, want := range map[string]int{"kubernetes.md": 2, "autoscaling.md": 7} {
		found := 0
		for _, block := range documented(t, docsDir+"/"+file) {
			if strings.HasPrefix(block, "apiVersion:") {
				found += len(parseObjects(t, file, []byte(block)))
			}
		}
		if found < want {
			t.Errorf("%s has %d objects, want at least %d", file, found, want)
		}
	}
}

// TestDocumentedValues renders the chart with the values in the documents.
func TestDocumentedValues(t *testing.T) {
	for file, want := range map[string]string{
		docsDir + "/kubernetes.md": "NetworkPolicy APIService", docsDir + "/tracing.md": "Deployment", chartDir + "/README.md": "Deployment",
	} {
		found := false
		for _, block := range documented(t, file) {
			if _, ok := values(t, []byte(block))["config"]; !ok {
				continue
			}
			found = true
			objects := renderObjects(t, written(t, block))
			for _, kind := range strings.Fields(want) {
				if !hasKind(objects, kind) {
					t.Errorf("with the values of %s the chart makes no %s:\n%s", file, kind, block)
				}
			}
		}
		if !found {
			t.Errorf("%s has no values", file)
		}
	}
}

// TestReadmeInstalls renders the chart as the command of the project's README does.
func TestReadmeInstalls(t *testing.T) {
	set := regexp.MustCompile(`--set (\S+)`).FindAllStringSubmatch(string(read(t, "../../README.md")), -1)
	if len(set) == 0 {
		t.Fatal("README.md installs nothing with --set")
	}
	v := make(map[string]any)
	for _, s := range set {
		if err := strvals.ParseInto(s[1], v); err != nil {
			t.Fatal(err)
		}
	}
	files, err := render(t, v, nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := files["penstock/templates/deployment.yaml"]; !strings.Contains(d, "image: registry.example.com/penstock:1.0\n") {
		t.Errorf("the Deployment has another image:\n%s", d)
	}
}

func written(t *testing.T, text string) (file string) {
	t.Helper()
	file = filepath.Join(t.TempDir(), "values.yaml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

func hasKind(objects []object, kind string) bool {
	for _, o := range objects {
		if o.kind() == kind {
			return true
		}
	}
	return false
}
