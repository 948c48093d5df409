// Package deploy tests what deploy/ has for Kubernetes, without a cluster: the Helm chart by Helm's own packages, the plain manifests that are made of
// it, the examples, and the chart's README. It is a module of its own, so that what these need is no dependency of the gateway.
//
// Run it with -count=1: files outside a module do not count when go test decides whether a result is still good.
//
// go test -update writes anew what is made of the chart: the plain manifests, the README's table of values, and the golden files of testdata.
package deploy

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write anew what is made of the chart")

const (
	chartDir     = "../../deploy/helm/penstock"
	manifestsDir = "../../deploy/manifests"
	examplesDir  = "../../deploy/examples"
)

// copies are the files of the chart that are copies, as a chart reads no file outside of it, and what they are copies of.
var copies = map[string]string{chartDir + "/files/rules.yaml": rulesFile, chartDir + "/files/penstock.json": dashboardFile}

// TestMain writes the copies anew, if asked to, before the chart is read that everything else is made of.
func TestMain(m *testing.M) {
	flag.Parse()
	if *update {
		for copied, from := range copies {
			data, err := os.ReadFile(from)
			if err == nil {
				err = os.WriteFile(copied, data, 0o644)
			}
			if err != nil {
				fmt.Fprintln(os.Stderr, "cannot write the chart's copies anew:", err)
				os.Exit(1)
			}
		}
	}
	os.Exit(m.Run())
}

// checkFile compares the file with want, or makes it so if asked to.
func checkFile(t *testing.T, file string, want []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, want, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("cannot read what go test -update writes: %v", err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s is not what is made of the chart, from here on:\n%s\nwant:\n%s\ngo test -update writes it anew", file, firstDifference(got, want),
			firstDifference(want, got))
	}
}

// firstDifference is the first line of a that b does not have in its place, with the five that follow.
func firstDifference(a, b []byte) string {
	as, bs := strings.Split(string(a), "\n"), strings.Split(string(b), "\n")
	i := 0
	for i < len(as) && i < len(bs) && as[i] == bs[i] {
		i++
	}
	return strings.Join(as[min(i, len(as)):min(i+6, len(as))], "\n")
}

func glob(t *testing.T, pattern string, atLeast int) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) < atLeast {
		t.Fatalf("%s matches %d files, want at least %d: %v", pattern, len(files), atLeast, err)
	}
	return files
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return data
}
