package penstock_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestDependenciesAreExplained holds the table of dependencies in docs/architecture.md against go.mod: whatever the module requires by itself
// has a row that says why, and no row is of something else.
func TestDependenciesAreExplained(t *testing.T) {
	required, explained := directRequirements(t), explainedDependencies(t)
	if len(required) < 10 || len(explained) < 10 {
		t.Fatalf("found %d requirements and %d rows: the search is broken", len(required), len(explained))
	}
	for _, m := range required {
		if !slices.ContainsFunc(explained, func(e string) bool { return belongsTo(e, m) }) {
			t.Errorf("go.mod requires %s, and the table of dependencies in docs/architecture.md does not say why", m)
		}
	}
	for _, e := range explained {
		if !slices.ContainsFunc(required, func(m string) bool { return belongsTo(e, m) }) {
			t.Errorf("the table of dependencies in docs/architecture.md has %s, which go.mod does not require directly", e)
		}
	}
}

// belongsTo reports whether an import path is a module's or below it. A tool's package belongs to the module that is named, too, and a module to its
// name without the major version.
func belongsTo(path, module string) bool {
	return path == module || strings.HasPrefix(path, module+"/") || strings.HasPrefix(module, path+"/")
}

// directRequirements are the modules of go.mod that are not indirect, and its tools' packages.
func directRequirements(t *testing.T) (list []string) {
	t.Helper()
	text, err := os.ReadFile("go.mod")
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range regexp.MustCompile(`(?m)^(?:require |	)([^\s(]+\.[^\s(]+) v\S+$`).FindAllStringSubmatch(string(text), -1) {
		list = append(list, m[1])
	}
	_, tools, found := strings.Cut(string(text), "\ntool (\n")
	if !found {
		t.Fatal("go.mod has no block of tools")
	}
	tools, _, _ = strings.Cut(tools, ")")
	return append(list, strings.Fields(tools)...)
}

// explainedDependencies are what the first column of the table names.
func explainedDependencies(t *testing.T) (list []string) {
	t.Helper()
	text, err := os.ReadFile("docs/architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "## Dependencies, and why\n")
	if !found {
		t.Fatal("docs/architecture.md has no section on dependencies")
	}
	for _, row := range regexp.MustCompile("(?m)^\\| (`[^|]*)\\|").FindAllStringSubmatch(section, -1) {
		for _, name := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(row[1], -1) {
			list = append(list, name[1])
		}
	}
	return list
}
