package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestMockIsDocumented keeps docs/mock.md complete: every flag, and every kind of fault that the mock accepts.
func TestMockIsDocumented(t *testing.T) {
	b, err := os.ReadFile("../../docs/mock.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(b)
	var help bytes.Buffer
	parseMock([]string{"--help"}, &help)
	flags := regexp.MustCompile(`(?m)^  (--[a-z-]+)`).FindAllStringSubmatch(help.String(), -1)
	source, err := os.ReadFile("../../bench/mock/faults.go")
	if err != nil {
		t.Fatal(err)
	}
	kinds := regexp.MustCompile(`FaultKind = "([a-z-]+)"`).FindAllStringSubmatch(string(source), -1)
	if len(flags) < 10 || len(kinds) < 10 {
		t.Fatalf("found %d flags and %d kinds of faults: the search is broken", len(flags), len(kinds))
	}
	for _, found := range append(flags, kinds...) {
		if !strings.Contains(doc, "`"+found[1]+"`") {
			t.Errorf("docs/mock.md does not name %s", found[1])
		}
	}
}
