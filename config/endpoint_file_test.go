package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestParseEndpointFile(t *testing.T) {
	a, b := Endpoint{"http", "10.1.2.3", "8000"}, Endpoint{"https", "fd00::1", "443"}
	for text, want := range map[string][]Endpoint{
		"endpoints: [\"http://10.1.2.3:8000\", \"https://[FD00:0::1]:443\"]": {a, b},
		"# by hand\nendpoints:\n- http://10.1.2.3:8000\n":                    {a},
		"---\nendpoints: []\n":                        {},
		"{\"endpoints\": [\"http://10.1.2.3:8000\"]}": {a},
		"endpoints: [" + strings.TrimSuffix(strings.Repeat("h2c://x%d:1, ", maxItems), ", "): nil, // as many as there may be
	} {
		if want == nil {
			text, want = numbered(text, maxItems)
		}
		if got, err := ParseEndpointFile("e.yaml", []byte(text)); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%.80s: got %v and %v, want %v", text, got, err, want)
		}
	}
}

// numbered fills the n places for numbers in an unclosed list of endpoints.
func numbered(text string, n int) (string, []Endpoint) {
	numbers, want := make([]any, n), make([]Endpoint, n)
	for i := range n {
		numbers[i], want[i] = i, Endpoint{"h2c", fmt.Sprintf("x%d", i), "1"}
	}
	return fmt.Sprintf(text, numbers...) + "]", want
}

func TestParseEndpointFileErrors(t *testing.T) {
	const wantSome = "; want endpoints: [URL, ...], or endpoints: [] for none"
	for text, want := range map[string]string{
		"":                                "e.yaml:1:1: is empty" + wantSome,
		"# nothing\n":                     "e.yaml:1:1: is empty" + wantSome,
		"---\n":                           "e.yaml:1:1: is empty" + wantSome,
		"{}":                              "e.yaml:1:1: endpoints: is missing" + wantSome,
		"endpoints:\n":                    "e.yaml:1:11: endpoints: has no value; give it a value, or leave it out",
		"endpoint: []":                    "e.yaml:1:1: endpoint: is no known field; did you mean endpoints?",
		"endpoints: []\npool: llama":      "e.yaml:2:1: pool: is no known field; want one of endpoints",
		"[\"http://10.1.2.3:8000\"]":      "e.yaml:1:1: is a list; want a mapping with any of endpoints",
		"endpoints: http://10.1.2.3:8000": "e.yaml:1:12: endpoints: is the text \"http://10.1.2.3:8000\"; want a list: write [http://10.1.2.3:8000]",
		"endpoints: [http://a:1":          "e.yaml:1:12: is not YAML: did not find expected ',' or ']'; close the bracket, and separate items by commas",
		"endpoints: []\n---\nx: y":        "e.yaml:2:1: has a second document; keep one document in the file",
		"endpoints: []\nendpoints: []":    "e.yaml:2:1: endpoints: is given twice, first in line 1; keep one of them",
		"endpoints:\n- 10.1.2.3:8000\n- http://a:1\n- https://A:1\n- 7": "e.yaml:2:3: endpoints[0]: \"10.1.2.3:8000\" has no scheme; write http://10.1.2.3:8000\n" +
			"e.yaml:4:3: endpoints[2]: \"https://A:1\" repeats \"http://a:1\"; list each host:port once\n" +
			"e.yaml:5:3: endpoints[3]: is the number 7; want text: write \"7\"",
		"endpoints: [" + strings.Repeat("a, ", maxItems) + "a]": "e.yaml:1:12: endpoints: has 10001 items; want at most 10000",
		strings.Repeat("\n", maxFileBytes+1):                    "e.yaml: is larger than 4MiB; want at most 10000 endpoints",
		"endpoints: \xff":                                       "e.yaml:1:12: is not valid UTF-8 here; save the file as UTF-8",
	} {
		got, err := ParseEndpointFile("e.yaml", []byte(text))
		var errs Errors
		if got != nil || !errors.As(err, &errs) || err.Error() != want {
			t.Errorf("%.80q: got %v and\n%v\nwant\n%s", text, got, err, want)
		}
	}
}

func TestReadEndpointFile(t *testing.T) {
	folder := t.TempDir()
	file := filepath.Join(folder, "endpoints.yaml")
	const wantFile = "; want a YAML file there: endpoints: [URL, ...]"
	if _, err := ReadEndpointFile(file); errorText(err) != "cannot read the endpoints in "+file+": no such file or directory"+wantFile || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v for a file that is not there", err)
	}
	if _, err := ReadEndpointFile(folder); errorText(err) != "cannot read the endpoints in "+folder+": not a plain file"+wantFile {
		t.Errorf("got %v for a folder", err)
	}
	if err := os.WriteFile(file, []byte(strings.Repeat("#", 2*maxFileBytes)), 0o600); err != nil {
		t.Fatal(err)
	}
	if data, err := ReadEndpointFile(file); err != nil || len(data) != maxFileBytes+1 {
		t.Errorf("got %d bytes and %v, want no more than tell that the file is too large", len(data), err)
	}
}
