package main

import (
	"bytes"
	"flag"
	"os"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what the examples in docs/simulate.md print into it")

const simulateDocs = "../../docs/simulate.md"

// TestSimulateDocsExamples runs every "$ penstock simulate" of the document and requires that it prints what stands below it.
func TestSimulateDocsExamples(t *testing.T) {
	text, err := os.ReadFile(simulateDocs)
	if err != nil {
		t.Fatal(err)
	}
	const prompt, indent = "    $ penstock simulate ", "    "
	var rewritten []string
	examples := 0
	for rest := strings.Split(string(text), "\n"); len(rest) > 0; {
		line := rest[0]
		rewritten, rest = append(rewritten, line), rest[1:]
		args, found := strings.CutPrefix(line, prompt)
		if !found {
			continue
		}
		n := 0
		for n < len(rest) && (strings.HasPrefix(rest[n], indent) || rest[n] == "" && n+1 < len(rest) && strings.HasPrefix(rest[n+1], indent)) {
			n++
		}
		printed := indented(t, strings.Fields(args), indent)
		if want := strings.Join(rest[:n], "\n"); want != printed && !*update {
			t.Errorf("%s\nprints\n%s\nand the document says\n%s", line, printed, want)
		}
		rewritten, rest = append(rewritten, printed), rest[n:]
		examples++
	}
	if examples < 3 {
		t.Errorf("the document has %d examples, want at least 3", examples)
	}
	if *update {
		if err := os.WriteFile(simulateDocs, []byte(strings.Join(rewritten, "\n")), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

// indented is what the command prints, as a block of the document.
func indented(t *testing.T, args []string, indent string) string {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if code := simulateCommand(t.Context(), args, &stdout, &stderr); code != exitOK {
		t.Fatalf("penstock simulate %v: exit code %d: %s", args, code, stderr.String())
	}
	lines := strings.Split(strings.TrimRight(stdout.String(), "\n"), "\n")
	for i, line := range lines {
		lines[i] = strings.TrimRight(indent+line, " ")
	}
	return strings.Join(lines, "\n")
}
