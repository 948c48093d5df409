package penstock_test

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/penstock/penstock/"

// allowed says which packages of the project each package may import, besides those above and below itself. docs/architecture.md has the
// reasons. A package that is not listed may import nothing of the project.
var allowed = map[string][]string{
	"balancer":                  {}, // not even what is below it, which has goroutines and a clock
	"balancer/load":             {},
	"config":                    {},
	"health":                    {"balancer"},
	"discovery":                 {"balancer", "config"},
	"discovery/dnstest":         {},
	"autoscale":                 {"config", "discovery"},
	"gateway/connwatch":         {},
	"gateway/socket":            {},
	"gateway/openai":            {},
	"gateway/route":             {},
	"gateway/dispatch":          {"balancer", "config", "gateway/openai", "gateway/route"},
	"gateway/bridge":            {"gateway/dispatch"},
	"gateway/live":              {"gateway/dispatch"},
	"gateway/bridge/bridgetest": {"balancer", "gateway/dispatch"},
	"gateway/field":             {},
	"gateway/grpc":              {},
	"gateway/identity":          {},
	"gateway/http1": {"config", "gateway/bridge", "gateway/connwatch", "gateway/dispatch", "gateway/field", "gateway/identity", "gateway/openai",
		"gateway/route", "gateway/socket"},
	"gateway/http2": {"config", "gateway/bridge", "gateway/connwatch", "gateway/dispatch", "gateway/field", "gateway/grpc", "gateway/identity",
		"gateway/openai", "gateway/route", "gateway/socket"},
	"gateway/telemetry":  {"gateway/dispatch", "gateway/field", "gateway/route"},
	"gateway":            {"autoscale", "balancer", "config", "discovery", "health"},
	"bench/engine":       {},
	"bench/loadgen":      {"bench/report", "bench/trace", "gateway/openai"},
	"bench/mock":         {"bench/engine"},
	"bench/mock/instant": {"bench/mock/inference", "bench/mock/lifecycle"},
	"bench/proxybench":   {},
	"bench/simulate":     {"balancer", "bench/engine", "bench/report", "bench/trace"},
	"bench/report":       {},
	"bench/trace":        {},
	"test/e2e/traffic":   {"bench/mock/inference", "bench/report"},
	"test/e2e/trafficd":  {"test/e2e/traffic"},
	"cmd/penstock":       {"config", "gateway", "bench", "balancer", "discovery"},
}

// banned are imports from elsewhere that only the listed packages (and those below them) may have, and why.
var banned = []struct {
	path   string
	within []string
	why    string
}{
	{"k8s.io/", []string{"discovery", "autoscale", "test"}, "client-go stays behind discovery"},
	{"go.opentelemetry.io/", []string{"gateway", "cmd/penstock"}, "engines are handed small interfaces"},
	{"github.com/prometheus/", []string{"gateway", "bench", "cmd/penstock"}, "engines are handed small interfaces"},
	{"github.com/valyala/fasthttp", []string{"bench"}, "fasthttp loses cancelled and truncated streams: it is for mocks and load only"},
}

// engines never import what only the gateway around them may.
var engines = []string{"gateway/http1", "gateway/http2", "gateway/bridge", "gateway/dispatch", "gateway/route", "gateway/openai", "gateway/field",
	"gateway/grpc", "gateway/identity", "gateway/connwatch", "gateway/socket"}

func TestImportDirections(t *testing.T) {
	for pkg, imports := range projectImports(t) {
		for _, imp := range imports {
			if inner, ok := strings.CutPrefix(imp, module); ok {
				if !mayImport(pkg, inner) || pkg == "balancer" {
					t.Errorf("package %s imports %s, which docs/architecture.md does not allow", pkg, inner)
				}
				continue
			}
			for _, b := range banned {
				if strings.HasPrefix(imp, b.path) && (!within(pkg, b.within) || within(pkg, engines)) {
					t.Errorf("package %s imports %s: %s", pkg, imp, b.why)
				}
			}
			if pkg == "balancer" && strings.Contains(imp, ".") {
				t.Errorf("package balancer imports %s: it has the standard library only", imp)
			}
		}
	}
}

func mayImport(pkg, inner string) bool {
	return within(inner, []string{pkg}) || within(pkg, []string{inner}) || within(inner, allowed[pkg])
}

// within reports whether pkg is one of dirs or below one.
func within(pkg string, dirs []string) bool {
	for _, d := range dirs {
		if pkg == d || strings.HasPrefix(pkg, d+"/") {
			return true
		}
	}
	return false
}

// projectImports maps each package's folder to what its non-test files import.
func projectImports(t *testing.T) map[string][]string {
	t.Helper()
	all := make(map[string][]string)
	err := filepath.WalkDir(".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (strings.HasPrefix(d.Name(), ".") && name != "." || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := path.Dir(filepath.ToSlash(name))
		for _, i := range f.Imports {
			p, err := strconv.Unquote(i.Path.Value)
			if err != nil {
				return err
			}
			all[pkg] = append(all[pkg], p)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 5 {
		t.Fatalf("found %d packages: the walk is broken", len(all))
	}
	return all
}
