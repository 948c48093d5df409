package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the errors of testdata/*.bad.yaml to their .want files")

// TestBadFiles compares the errors of every testdata/*.bad.yaml, whole and in order, with its .want file.
func TestBadFiles(t *testing.T) {
	files := glob(t, "testdata/*.bad.yaml", 60)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			_, err := Load(file)
			var errs Errors
			if !errors.As(err, &errs) {
				t.Fatalf("got %v, want Errors", err)
			}
			got := errs.Error() + "\n"
			wantFile := strings.TrimSuffix(file, ".yaml") + ".want"
			if *update {
				if err := os.WriteFile(wantFile, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			if want := read(t, wantFile); got != want {
				t.Errorf("got:\n%swant:\n%s", got, want)
			}
			for _, e := range errs {
				if e.File != file || e.Line < 1 || e.Column < 1 || e.Problem == "" || e.Want == "" {
					t.Errorf("error without file, place, problem or what would be right: %#v", e)
				}
			}
		})
	}
}

// TestGoodFiles loads every testdata/*.good.yaml, and reads back what YAML writes of it.
func TestGoodFiles(t *testing.T) {
	for _, file := range glob(t, "testdata/*.good.yaml", 5) {
		t.Run(filepath.Base(file), func(t *testing.T) {
			c, err := Load(file)
			if err != nil {
				t.Fatal(err)
			}
			checkRoundTrip(t, c)
		})
	}
}

// checkRoundTrip checks that c is valid and that YAML and Parse carry it over unchanged.
func checkRoundTrip(t *testing.T, c *Config) {
	t.Helper()
	if err := c.Validate(); err != nil {
		t.Fatalf("what Parse returned is not valid: %v", err)
	}
	text, err := c.YAML()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse("again.yaml", text)
	if err != nil {
		t.Fatalf("what YAML wrote cannot be parsed: %v\n%s", err, text)
	}
	if !reflect.DeepEqual(c, again) {
		t.Fatalf("what YAML wrote is another configuration:\n%s\nbefore: %+v\nafter:  %+v", text, c, again)
	}
}

func glob(t *testing.T, pattern string, atLeast int) []string {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) < atLeast {
		t.Fatalf("%s matches %d files, want at least %d: %v", pattern, len(files), atLeast, err)
	}
	return files
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}
