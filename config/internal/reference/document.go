package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/penstock/penstock/config"
)

// exampleFile is the example at the top, which the tests of package config load.
const exampleFile = "testdata/example.good.yaml"

const head = `<!-- Written by go generate ./config; edit the comments in config/*.go, not this file. -->

# Configuration

` + "`penstock serve --config FILE`" + ` reads one YAML file. ` + "`penstock check --config FILE`" + ` tells everything that is wrong with it, and
exits with 1 if anything is. A file is taken whole or not at all: unknown fields, keys that are given twice, and values that make no
sense are errors, each with its place, the field, what is wrong and what would be right:

` + "```" + `
penstock.yaml:12:20: routes[0].split[0].pool: there is no pool "lama"; did you mean llama?
` + "```" + `

## Example

` + "```yaml\n"

const values = "```" + `

The shortest file has one pool, which then takes every request:

` + "```yaml" + `
pools: {llama: {endpoints: ["http://10.1.2.3:8000"]}}
` + "```" + `

## Values

- **duration**: a number with its unit, ` + "`ms`, `s`, `m` or `h`: `500ms`, `30s`, `1h30m`" + `. A bare number other than 0 is an error.
- **size**: a number of bytes, or a number with ` + "`B`, `KiB`, `MiB` or `GiB`: `64KiB`" + `.
- **text** that YAML would read as something else stands in quotes: ` + "`\"yes\"` is safe everywhere, `\"3\"` and `\"true\"`" + ` are needed.
- A field without a value (` + "`probe:`" + `) or with an empty text is an error: leave it out, or write ` + "`probe: {}`" + ` for all defaults.
- Anchors, aliases and merge keys work: ` + "`<<: *name`" + ` gives a pool the settings of another.
- A file has at most 4 MiB and one document. Lists and mappings have at most 10,000 items.
- Names of certificate files and of files of endpoints are relative to the folder that the gateway is started in.
`

// build makes the reference of the package in folder.
func build(folder string) ([]byte, error) {
	docs, err := readComments(folder)
	if err != nil {
		return nil, err
	}
	example, err := os.ReadFile(filepath.Join(folder, exampleFile))
	if err != nil {
		return nil, fmt.Errorf("cannot read the example: %w", err)
	}
	w := &writer{docs: docs, sections: collect()}
	w.b.WriteString(head)
	w.b.Write(example)
	w.b.WriteString(values)
	for _, s := range w.sections {
		w.section(s)
	}
	return w.b.Bytes(), nil
}

// section is a struct of the configuration, and where it stands.
type section struct {
	t     reflect.Type
	paths []string
	// value has the defaults; those of a section that is absent by default are what it has once it is there.
	value reflect.Value
}

// collect lists the sections, each before those within it.
func collect() []*section {
	root := &section{t: reflect.TypeFor[config.Config](), value: reflect.ValueOf(config.DefaultConfig)}
	return root.addTo(nil)
}

// addTo adds s and the sections within it to those that were found before. A struct that stands in several places is one section.
func (s *section) addTo(found []*section) []*section {
	found = append(found, s)
	for i := range s.t.NumField() {
		f := s.t.Field(i)
		t, suffix := element(f.Type)
		if t.Kind() != reflect.Struct {
			continue
		}
		path := strings.TrimPrefix(s.path()+"."+f.Tag.Get("yaml")+suffix, ".")
		if known := find(found, t); known != nil {
			known.paths = append(known.paths, path)
			continue
		}
		v := s.value.Field(i)
		if v.Kind() != reflect.Struct {
			v = optional(t)
		}
		found = (&section{t: t, paths: []string{path}, value: v}).addTo(found)
	}
	return found
}

func (s *section) path() string {
	if len(s.paths) == 0 {
		return ""
	}
	return s.paths[0]
}

func find(sections []*section, t reflect.Type) *section {
	for _, s := range sections {
		if s.t == t {
			return s
		}
	}
	return nil
}

// element is the type within a pointer, a list or a mapping, and how its path goes on.
func element(t reflect.Type) (reflect.Type, string) {
	suffix := ""
	for {
		switch t.Kind() {
		case reflect.Slice:
			suffix += "[]"
		case reflect.Map:
			suffix += ".NAME"
		case reflect.Pointer:
		default:
			return t, suffix
		}
		t = t.Elem()
	}
}

// optional is what a section has by default that is itself absent by default.
func optional(t reflect.Type) reflect.Value {
	for _, d := range []any{config.DefaultListenerTLS, config.DefaultAutoscale, config.DefaultPool, config.DefaultService, config.DefaultDNS, config.DefaultProbe, config.DefaultMetrics, config.DefaultMirror} {
		if reflect.TypeOf(d) == t {
			return reflect.ValueOf(d)
		}
	}
	return reflect.Zero(t)
}

// writer writes sections.
type writer struct {
	b        bytes.Buffer
	docs     *comments
	sections []*section
}

func (w *writer) section(s *section) {
	title := "Top level"
	if len(s.paths) > 0 {
		title = "`" + strings.Join(s.paths, "`, `") + "`"
	}
	names := w.names(s.t)
	fmt.Fprintf(&w.b, "\n## %s\n\n%s\n\n", title, inYAML(sentence(w.docs.types[s.t.Name()], s.t.Name()), names))
	w.b.WriteString("| field | takes | default | meaning |\n|---|---|---|---|\n")
	for i := range s.t.NumField() {
		f := s.t.Field(i)
		meaning := inYAML(sentence(w.docs.fields[s.t.Name()][f.Name], f.Name), names)
		fmt.Fprintf(&w.b, "| `%s` | %s | %s | %s |\n", f.Tag.Get("yaml"), w.takes(f), byDefault(f, s.value.Field(i)),
			strings.ReplaceAll(meaning, "|", "\\|"))
	}
}

// names has the fields of t by their Go names, and those of all sections by type and field. Names that are words of their own, such
// as TLS and Service, are left out.
func (w *writer) names(t reflect.Type) map[string]string {
	names := make(map[string]string)
	for _, s := range w.sections {
		path := strings.Split(s.path(), ".")
		for i := range s.t.NumField() {
			f := s.t.Field(i)
			names[s.t.Name()+"."+f.Name] = path[len(path)-1] + "." + f.Tag.Get("yaml")
			if s.t == t && !isWord(f) {
				names[f.Name] = f.Tag.Get("yaml")
			}
		}
	}
	return names
}

// isWord says whether a field's Go name, in a comment, rather means the thing than the field.
func isWord(f reflect.StructField) bool {
	t, _ := element(f.Type)
	return f.Name == strings.ToUpper(f.Name) || f.Name == t.Name()
}

// takes says what a field may hold.
func (w *writer) takes(f reflect.StructField) string {
	if enum, ok := f.Tag.Lookup("enum"); ok {
		return "`" + strings.ReplaceAll(enum, ",", "`, `") + "`"
	}
	t, suffix := element(f.Type)
	s := kind(t, f.Tag)
	if t.Kind() == reflect.Struct {
		// The anchor is how GitHub and most others write a heading's.
		title := strings.ToLower("`" + strings.Join(find(w.sections, t).paths, "`, `") + "`")
		anchor := strings.NewReplacer("`", "", ".", "", "[", "", "]", "", ",", "", " ", "-").Replace(title)
		s = fmt.Sprintf("[section](#%s)", anchor)
	}
	switch suffix {
	case "[]":
		s = "list of " + plural(s)
	case ".NAME":
		s = "mapping of names to " + plural(s)
	}
	if low, ok := f.Tag.Lookup("min"); ok {
		s += ", " + low + " to " + f.Tag.Get("max")
	}
	if zero, ok := f.Tag.Lookup("zero"); ok {
		s += ", or 0 (" + zero + ")"
	}
	return s
}

func kind(t reflect.Type, tag reflect.StructTag) string {
	switch {
	case t == reflect.TypeFor[config.Duration]():
		return "duration"
	case tag.Get("unit") == "bytes":
		return "size"
	}
	switch t.Kind() {
	case reflect.String:
		return "text"
	case reflect.Bool:
		return "`true`, `false`"
	case reflect.Int, reflect.Int64:
		return "whole number"
	case reflect.Float64:
		return "number"
	case reflect.Struct:
		return "section"
	}
	panic("BUG: no word for the type " + t.String())
}

func plural(s string) string {
	if s == "text" {
		return "texts"
	}
	return strings.Replace(s, "[section]", "[sections]", 1)
}

// byDefault is a field's default as a file would say it; a dash if there is none.
func byDefault(f reflect.StructField, v reflect.Value) string {
	switch x := v.Interface().(type) {
	case config.Duration:
		return "`" + x.String() + "`"
	case string:
		if strings.HasPrefix(x, ":") {
			return "`\"" + x + "\"`"
		}
		if x != "" {
			return "`" + x + "`"
		}
		return "–"
	case bool, float64:
		return fmt.Sprintf("`%v`", x)
	}
	if v.Kind() == reflect.Struct && !v.IsZero() {
		return "as there"
	}
	if !v.CanInt() {
		return "–"
	}
	if f.Tag.Get("unit") == "bytes" {
		return "`" + size(v.Int()) + "`"
	}
	return fmt.Sprintf("`%d`", v.Int())
}

// size writes a number of bytes with the largest unit that divides it.
func size(n int64) string {
	units := []string{"B", "KiB", "MiB", "GiB"}
	i := 0
	for ; n > 0 && n%1024 == 0 && i < len(units)-1; i++ {
		n /= 1024
	}
	return fmt.Sprintf("%d%s", n, units[i])
}
