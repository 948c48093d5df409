package main

import (
	"bytes"
	"os"
	"regexp"
	"slices"
	"testing"
)

// TestBenchIsDocumented holds docs/bench.md against the program: its tables have every flag, and it speaks of no other in them.
func TestBenchIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../../docs/bench.md")
	if err != nil {
		t.Fatal(err)
	}
	var help bytes.Buffer
	parseBench([]string{"--help"}, &help)
	flags := names(regexp.MustCompile(`(?m)^  --([a-z0-9-]+)`), help.Bytes())
	var rows []byte
	for _, row := range regexp.MustCompile("(?m)^\\| (`--[^|]*)\\|").FindAllSubmatch(doc, -1) {
		rows = append(rows, row[1]...)
	}
	documented := names(regexp.MustCompile("`--([a-z0-9-]+)"), rows)
	if len(flags) < 30 {
		t.Fatalf("found %d flags: the search is broken", len(flags))
	}
	for _, name := range flags {
		if !slices.Contains(documented, name) {
			t.Errorf("no table of docs/bench.md has --%s", name)
		}
	}
	known := append(flags, "help")
	for _, command := range regexp.MustCompile(`(?m)^.*penstock bench.*$`).FindAll(doc, -1) {
		for _, name := range names(regexp.MustCompile(`--([a-z0-9-]+)`), command) {
			if !slices.Contains(known, name) {
				t.Errorf("docs/bench.md has a command with --%s, which is no flag: %s", name, command)
			}
		}
	}
	for _, name := range documented {
		if !slices.Contains(known, name) {
			t.Errorf("docs/bench.md has --%s, which is no flag", name)
		}
	}
}

func names(expression *regexp.Regexp, in []byte) (list []string) {
	for _, m := range expression.FindAllSubmatch(in, -1) {
		list = append(list, string(m[1]))
	}
	return list
}
