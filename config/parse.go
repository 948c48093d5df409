package config

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"reflect"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// maxFileBytes is the largest file that is read, 4 MiB: thousands of pools.
const maxFileBytes = 4 << 20

// Load reads, parses and validates the file at path. The error is Errors if the file could be read.
func Load(path string) (*Config, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open configuration: %w", err)
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, fmt.Errorf("cannot read configuration: %w", err)
	}
	return Parse(path, data)
}

// Parse parses and validates a configuration; name is what its errors call the file. The error is Errors: everything that is wrong,
// unless the YAML itself is broken, which hides the rest. Parse does not keep data.
func Parse(name string, data []byte) (*Config, error) { return ParseOver(name, data, nil) }

// ParseOver is Parse for pools that have settings from elsewhere, by name. What the file says of a pool wins over them, and they win over the
// defaults. Sections of a pool that may be absent, such as probe, count as a whole.
func ParseOver(name string, data []byte, settings map[string]*Pool) (*Config, error) {
	r := newReport(name)
	r.spots = make(map[string]spot)
	root := readDocument(r, data, "want at least a pool: pools: {NAME: {endpoints: [URL]}}", "split the work over several gateways")
	if root == nil {
		return nil, r.err()
	}
	c := new(Config)
	d := &decoder{report: r, pools: make(map[string]*Pool, len(settings))}
	for pool, given := range settings {
		d.pools[under("pools", pool)] = given
	}
	d.decode(root, "", reflect.ValueOf(c).Elem(), "")
	if !r.full {
		validate(c, r)
	}
	if err := r.err(); err != nil {
		return nil, err
	}
	completeMetrics(c)
	return c, nil
}

// readDocument returns the top node of the file's only document, or nil and an error in r. wantSome says what would be right where there is
// nothing, and wantLess where there is too much.
func readDocument(r *report, data []byte, wantSome, wantLess string) *yaml.Node {
	if len(data) > maxFileBytes {
		r.at(spot{}, "", "is larger than "+formatSize(maxFileBytes), wantLess)
		return nil
	}
	if !readable(r, data) {
		return nil
	}
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	switch err := dec.Decode(&doc); {
	case err == io.EOF || err == nil && isEmpty(&doc):
		r.at(spot{1, 1}, "", "is empty", wantSome)
		return nil
	case err != nil:
		syntaxError(r, data, err)
		return nil
	}
	switch err := dec.Decode(&second); {
	case err == nil:
		r.at(spotOf(&second), "", "has a second document", "keep one document in the file")
		return nil
	case err != io.EOF:
		syntaxError(r, data, err)
		return nil
	}
	return doc.Content[0]
}

func isEmpty(doc *yaml.Node) bool { return len(doc.Content) == 0 || typeOf(doc.Content[0]) == "!!null" }

// readable says whether data is text that YAML 1.2 allows (section 5.1, printable characters), and adds an error if it is not.
func readable(r *report, data []byte) bool {
	s := spot{1, 1}
	for rest := data; len(rest) > 0; s.column++ {
		c, size := utf8.DecodeRune(rest)
		rest = rest[size:]
		switch {
		case c == utf8.RuneError && size == 1:
			r.at(s, "", "is not valid UTF-8 here", "save the file as UTF-8")
			return false
		case !printable(c):
			r.at(s, "", fmt.Sprintf("has the control character %U", c), "remove it")
			return false
		case c == '\n':
			s = spot{s.line + 1, 0}
		}
	}
	return true
}

func printable(c rune) bool {
	return c == '\t' || c == '\n' || c == '\r' || c == 0x85 || c >= 0x20 && c < 0x7f || c >= 0xa0 && c != 0xfffe && c != 0xffff
}
