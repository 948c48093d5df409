package main

import (
	"bytes"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/penstock/penstock/bench/simulate"
)

func TestBenchIsDocumented(t *testing.T) {
	checkFlagTables(t, "bench", func(help io.Writer) { parseBench([]string{"--help"}, help) })
}

func TestSimulateIsDocumented(t *testing.T) {
	checkFlagTables(t, "simulate", func(help io.Writer) { parseSimulate([]string{"--help"}, help) })
	doc, err := os.ReadFile("../../docs/simulate.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range simulate.PolicyNames() {
		if strings.HasPrefix(name, rivalPrefix) && !bytes.Contains(doc, []byte("| `"+name+"` |")) {
			t.Errorf("docs/simulate.md does not say what %s is", name)
		}
	}
}

// checkFlagTables holds the document of a subcommand against the program: its tables have every flag, and neither they nor its commands
// have another one.
func checkFlagTables(t *testing.T, subcommand string, help func(io.Writer)) {
	t.Helper()
	path := "docs/" + subcommand + ".md"
	doc, err := os.ReadFile("../../" + path)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	help(&b)
	flags := names(regexp.MustCompile(`(?m)^  --([a-z0-9-]+)`), b.Bytes())
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
			t.Errorf("no table of %s has --%s", path, name)
		}
	}
	known := append(flags, "help")
	for _, command := range regexp.MustCompile(`(?m)^.*penstock `+subcommand+`.*$`).FindAll(doc, -1) {
		for _, name := range names(regexp.MustCompile(`--([a-z0-9-]+)`), command) {
			if !slices.Contains(known, name) {
				t.Errorf("%s has a command with --%s, which is no flag: %s", path, name, command)
			}
		}
	}
	for _, name := range documented {
		if !slices.Contains(known, name) {
			t.Errorf("%s has --%s, which is no flag", path, name)
		}
	}
}

func names(expression *regexp.Regexp, in []byte) (list []string) {
	for _, m := range expression.FindAllSubmatch(in, -1) {
		list = append(list, string(m[1]))
	}
	return list
}
