package config

import (
	"go/parser"
	"go/token"
	"strconv"
	"strings"
	"testing"
)

// TestImports keeps the package's dependencies to the standard library and YAML: everything that is configured imports it.
func TestImports(t *testing.T) {
	for _, file := range glob(t, "*.go", 10) {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range f.Imports {
			path, _ := strconv.Unquote(i.Path.Value)
			if first, _, _ := strings.Cut(path, "/"); strings.Contains(first, ".") && path != "go.yaml.in/yaml/v3" {
				t.Errorf("%s imports %s", file, path)
			}
		}
	}
}
