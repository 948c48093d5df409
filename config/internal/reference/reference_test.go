package main

import (
	"bytes"
	"os"
	"regexp"
	"testing"

	"github.com/penstock/penstock/config"
)

const (
	testSource   = "../.."
	testDocument = "../../../docs/configuration.md"
)

// TestUpToDate fails when the types, comments, defaults or example changed and the document was not written again.
func TestUpToDate(t *testing.T) {
	want, err := build(testSource)
	if err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(testDocument)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("docs/configuration.md is out of date: run go generate ./config")
	}
}

// TestExamples parses every configuration that the document shows.
func TestExamples(t *testing.T) {
	document, err := os.ReadFile(testDocument)
	if err != nil {
		t.Fatal(err)
	}
	blocks := regexp.MustCompile("(?s)```yaml\n(.*?)```").FindAllSubmatch(document, -1)
	if len(blocks) < 2 {
		t.Fatalf("found %d examples, want the full one and the shortest one", len(blocks))
	}
	for _, b := range blocks {
		if _, err := config.Parse("configuration.md", b[1]); err != nil {
			t.Errorf("%v in\n%s", err, b[1])
		}
	}
}

// TestComments checks that every field says what it means, in a sentence.
func TestComments(t *testing.T) {
	docs, err := readComments(testSource)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range collect() {
		for i := range s.t.NumField() {
			f := s.t.Field(i)
			comment := docs.fields[s.t.Name()][f.Name]
			if !regexp.MustCompile(`^` + f.Name + ` .*\.$`).MatchString(comment) {
				t.Errorf("the comment of %s.%s does not begin with its name and end with a full stop: %q", s.t.Name(), f.Name, comment)
			}
		}
	}
}

func TestInYAML(t *testing.T) {
	names := map[string]string{"CertFile": "certFile", "Match.Path": "match.path", "Set": "set"}
	for in, want := range map[string]string{
		"The key of CertFile.":                       "The key of `certFile`.",
		"Replaces the prefix that Match.Path found.": "Replaces the prefix that `match.path` found.",
		"Drops first, then Set. Set is a word here.": "Drops first, then `set`. Set is a word here.",
		"Set at the start is a word.":                "Set at the start is a word.",
	} {
		if got := inYAML(in, names); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

func TestSentence(t *testing.T) {
	for _, c := range []struct{ comment, name, want string }{
		{"Listen is the address.", "Listen", "The address."},
		{"Routes are tried in order.", "Routes", "Tried in order."},
		{"DebugHeaders adds one.", "DebugHeaders", "Adds one."},
	} {
		if got := sentence(c.comment, c.name); got != c.want {
			t.Errorf("got %s, want %s", got, c.want)
		}
	}
}
