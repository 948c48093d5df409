package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/penstock/penstock/test/e2e/traffic"
)

// TestDocumented keeps the README complete: every flag and every outcome.
func TestDocumented(t *testing.T) {
	b, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	var help bytes.Buffer
	parse([]string{"--help"}, &help)
	flags := regexp.MustCompile(`(?m)^  -([a-z-]+)`).FindAllStringSubmatch(help.String(), -1)
	if len(flags) < 14 {
		t.Fatalf("found %d flags: the search is broken", len(flags))
	}
	for _, f := range flags {
		if !strings.Contains(string(b), "`--"+f[1]+"`") {
			t.Errorf("README.md does not name --%s", f[1])
		}
	}
	for _, o := range traffic.Outcomes {
		if !strings.Contains(string(b), "| `"+string(o)+"` |") {
			t.Errorf("README.md does not explain %s", o)
		}
	}
}
