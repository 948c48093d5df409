package config

import (
	"bytes"
	"errors"
	"io"
	"os"
	"regexp"
	"testing"

	"go.yaml.in/yaml/v3"
)

// TestDocuments parses every configuration in the documents: whole ones, excerpts, those within values of the chart and ConfigMaps, and settings in
// annotations of Services.
func TestDocuments(t *testing.T) {
	files := append(glob(t, "../docs/*.md", 8), "../README.md", "../deploy/helm/penstock/README.md")
	seen := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, block := range regexp.MustCompile("(?ms)^```yaml\n(.*?)^```").FindAllSubmatch(text, -1) {
			for d := yaml.NewDecoder(bytes.NewReader(block[1])); ; {
				var document any
				if err := d.Decode(&document); errors.Is(err, io.EOF) {
					break
				} else if err != nil {
					t.Errorf("%s: %v in\n%s", file, err, block[1])
					break
				}
				known, err := parseDocument(file, document)
				if err != nil {
					t.Errorf("%s: %v in\n%s", file, err, block[1])
				}
				if known {
					seen++
				}
			}
		}
	}
	if seen < 10 {
		t.Errorf("found %d configurations in %d files: the search is broken", seen, len(files))
	}
}

// parseDocument parses the configuration that a YAML document is or holds. known is false where it has none.
func parseDocument(file string, document any) (known bool, err error) {
	fields, _ := document.(map[string]any)
	switch {
	case fields["kind"] == "ConfigMap":
		text, ok := field(fields, "data", "penstock.yaml").(string)
		if ok {
			_, err = Parse(file, []byte(text))
		}
		return ok, err
	case fields["apiVersion"] != nil:
		text, ok := field(fields, "metadata", "annotations", "penstock.io/pool").(string)
		if ok {
			_, err = ParseSettings(file, []byte(text))
		}
		return ok, err
	case fields["config"] != nil:
		return true, parseFields(file, fields["config"])
	case field(fields, "autoscale", "certFile") != nil:
		return false, nil // the files are in the gateway's pod
	case fields["pools"] != nil, fields["routes"] != nil, fields["autoscale"] != nil:
		complete(fields)
		return true, parseFields(file, fields)
	}
	return false, nil
}

func parseFields(file string, fields any) error {
	text, err := yaml.Marshal(fields)
	if err == nil {
		_, err = Parse(file, text)
	}
	return err
}

// complete adds to an excerpt the pool that it leaves out, or says nothing of the endpoints of.
func complete(fields map[string]any) {
	pools, _ := fields["pools"].(map[string]any)
	if pools == nil {
		pools = map[string]any{"llama": map[string]any{}}
		fields["pools"] = pools
	}
	for _, p := range pools {
		pool, ok := p.(map[string]any)
		if ok && pool["endpoints"] == nil && pool["service"] == nil && pool["dns"] == nil && pool["file"] == nil {
			pool["endpoints"] = []any{"http://10.1.2.3:8000"}
		}
	}
}

// field is what stands at a path of keys; nil if nothing does.
func field(fields map[string]any, path ...string) any {
	var at any = fields
	for _, key := range path {
		m, _ := at.(map[string]any)
		at = m[key]
	}
	return at
}
