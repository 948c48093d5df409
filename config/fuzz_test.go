package config

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// FuzzParse checks that Parse never panics, and that it either tells errors that each say what is wrong and what would be right, or
// returns a configuration that is valid and survives being written and read.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/*.good.yaml", "testdata/*.bad.yaml"} {
		for _, file := range globFiles(f, pattern) {
			data, err := os.ReadFile(file)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Parse("fuzz.yaml", data)
		if err == nil {
			checkRoundTrip(t, c)
			return
		}
		var errs Errors
		if c != nil || !errors.As(err, &errs) || len(errs) == 0 {
			t.Fatalf("got %v and %v, want no configuration and Errors", c, err)
		}
		for _, e := range errs {
			if e.Problem == "" || e.Want == "" || e.File != "fuzz.yaml" {
				t.Fatalf("incomplete error: %#v", e)
			}
		}
	})
}

func globFiles(f *testing.F, pattern string) []string {
	f.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		f.Fatalf("no files match %s: %v", pattern, err)
	}
	return files
}

// FuzzText checks that any text that is valid survives being written and read, wherever YAML puts it.
func FuzzText(f *testing.F) {
	for _, s := range []string{"", "yes", "null", "~", "3", "1e3", "0x1", ".nan", "2024-08-06", " a", "a\tb", "a: b", "a #b", "- a", "*a", "&a",
		"!a", "|", "'", `"`, `\`, "<<", "é", "\u2028", "\ufeff", "{a}", "[a]", "---", "...", "? a", "%a", "@a", "`a"} {
		f.Add(s, s)
	}
	f.Fuzz(func(t *testing.T, name, value string) {
		pool := DefaultPool
		pool.Endpoints = []string{"http://a:1"}
		c := DefaultConfig
		c.Pools = map[string]*Pool{"a": &pool}
		c.Routes = []Route{{
			Match:          Match{Model: value, Headers: map[string]string{name: value}},
			Split:          []Target{{Pool: "a", Model: value}},
			RequestHeaders: &HeaderEdit{Remove: []string{name}},
		}}
		if c.Validate() == nil {
			checkRoundTrip(t, &c)
		}
	})
}
