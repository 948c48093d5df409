package config

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

const (
	// maxItems bounds the items of one list and the keys of one mapping.
	maxItems = 10000
	// maxExpanded bounds the nodes that aliases stand for, so that a small file cannot unfold into a large configuration.
	maxExpanded = 100000
)

// decoder fills a Config from YAML nodes. The library's own decoder stops at the first errors of several kinds, and tells no
// columns; so this one walks the nodes itself.
type decoder struct {
	*report
	open     []*yaml.Node     // the anchored nodes that are being unfolded
	expanded int              // nodes seen within them
	pools    map[string]*Pool // what pools add to in place of the defaults, by path
}

// decode fills out from n, the field at path. tag is the field's struct tag.
func (d *decoder) decode(n *yaml.Node, path string, out reflect.Value, tag reflect.StructTag) {
	if d.full || !d.count(n) {
		return
	}
	if n.Kind == yaml.AliasNode {
		d.unfold(n, path, func(target *yaml.Node) { d.decode(target, path, out, tag) })
		return
	}
	if typeOf(n) == "!!null" {
		d.wrong(n, path, "has no value", "give it a value, or leave it out")
		return
	}
	if out.Kind() == reflect.Pointer {
		out.Set(reflect.New(out.Type().Elem()))
		out = out.Elem()
	}
	d.setDefaults(path, out)
	switch {
	case out.Type() == durationType:
		d.duration(n, path, out)
	case out.Kind() == reflect.Struct:
		d.section(n, path, out)
	case out.Kind() == reflect.Map:
		d.mapping(n, path, out, tag)
	case out.Kind() == reflect.Slice:
		d.list(n, path, out)
	default:
		d.scalar(n, path, out, tag)
	}
}

// setDefaults gives the section at path the values that the file adds to.
func (d *decoder) setDefaults(path string, out reflect.Value) {
	if v, ok := defaults[out.Type()]; ok {
		out.Set(v)
	}
	if pool, ok := out.Addr().Interface().(*Pool); ok {
		if settings := d.pools[path]; settings != nil {
			*pool = *settings
		}
	}
}

// wrong adds an error about the value that stands at n.
func (d *decoder) wrong(n *yaml.Node, path, problem, want string) {
	d.at(spotOf(n), path, problem, want)
	d.broken[path] = struct{}{}
}

// count says whether n may be decoded, as not too much has been unfolded.
func (d *decoder) count(n *yaml.Node) bool {
	if len(d.open) == 0 {
		return true
	}
	if d.expanded++; d.expanded <= maxExpanded {
		return true
	}
	d.at(spotOf(n), "", fmt.Sprintf("aliases unfold to more than %d values", maxExpanded), "write fewer aliases of large values")
	d.full = true
	return false
}

// unfold calls use with the node that the alias n stands for.
func (d *decoder) unfold(n *yaml.Node, path string, use func(*yaml.Node)) {
	if slices.Contains(d.open, n.Alias) {
		d.wrong(n, path, fmt.Sprintf("alias *%s contains itself", clip(n.Value)), "write the value out")
		return
	}
	d.open = append(d.open, n.Alias)
	use(n.Alias)
	d.open = d.open[:len(d.open)-1]
}

// section fills a struct; every key must be one of its fields.
func (d *decoder) section(n *yaml.Node, path string, out reflect.Value) {
	fields := fieldsOf(out.Type())
	if typeOf(n) != "!!map" {
		d.wrong(n, path, "is "+describeFor(n, out.Type(), ""), "want a mapping with any of "+strings.Join(fields.names, ", "))
		return
	}
	pairs := d.pairs(n, path)
	dropDefaults(out, pairs)
	for _, p := range pairs {
		name := p.key.Value
		i, ok := fields.index[name]
		if !ok {
			d.unknown(p.key, path, name, fields.names)
			continue
		}
		at := under(path, name)
		d.place(at, p)
		d.decode(p.value, at, out.Field(i), out.Type().Field(i).Tag)
	}
}

// dropDefaults empties the fields of a section whose default does not hold beside a field that is given.
func dropDefaults(section reflect.Value, given []pair) {
	for i := range section.NumField() {
		other, ok := section.Type().Field(i).Tag.Lookup("unless")
		if ok && slices.ContainsFunc(given, func(p pair) bool { return p.key.Value == other }) {
			section.Field(i).SetZero()
		}
	}
}

// unknown adds an error about a key that is no field. What follows from the field being absent that was meant is not told.
func (d *decoder) unknown(key *yaml.Node, path, name string, fields []string) {
	want := "want one of " + strings.Join(fields, ", ")
	if near := closest(name, fields); near != "" {
		want = "did you mean " + near + "?"
		d.broken[under(path, near)] = struct{}{}
	}
	d.wrong(key, under(path, name), "is no known field", want)
}

// mapping fills a map; any text is a key.
func (d *decoder) mapping(n *yaml.Node, path string, out reflect.Value, tag reflect.StructTag) {
	if typeOf(n) != "!!map" {
		d.wrong(n, path, "is "+describeFor(n, out.Type(), tag), "want a mapping of names to values")
		return
	}
	pairs := d.pairs(n, path)
	if len(pairs) > maxItems {
		d.wrong(n, path, fmt.Sprintf("has %d keys", len(pairs)), fmt.Sprintf("want at most %d", maxItems))
		return
	}
	if len(pairs) > 0 {
		out.Set(reflect.MakeMapWithSize(out.Type(), len(pairs)))
	}
	for _, p := range pairs {
		at := under(path, p.key.Value)
		d.place(at, p)
		v := reflect.New(out.Type().Elem()).Elem()
		d.decode(p.value, at, v, secretOf(tag))
		out.SetMapIndex(reflect.ValueOf(p.key.Value), v)
	}
}

// list fills a slice.
func (d *decoder) list(n *yaml.Node, path string, out reflect.Value) {
	if typeOf(n) != "!!seq" {
		want := "want a list"
		if n.Kind == yaml.ScalarNode && out.Type().Elem().Kind() == reflect.String {
			want += ": write [" + clip(n.Value) + "]"
		}
		d.wrong(n, path, "is "+describeFor(n, out.Type(), ""), want)
		return
	}
	if len(n.Content) > maxItems {
		d.wrong(n, path, fmt.Sprintf("has %d items", len(n.Content)), fmt.Sprintf("want at most %d", maxItems))
		return
	}
	if len(n.Content) > 0 {
		out.Set(reflect.MakeSlice(out.Type(), len(n.Content), len(n.Content)))
	}
	for i, c := range n.Content {
		at := item(path, i)
		d.spots[at] = spotOf(c)
		d.decode(c, at, out.Index(i), "")
	}
}

// place notes where the field at path stands: a value on its own at the value, anything larger at its key.
func (d *decoder) place(path string, p pair) {
	if p.value.Kind == yaml.ScalarNode {
		d.spots[path] = spotOf(p.value)
		return
	}
	d.spots[path] = spotOf(p.key)
}

func spotOf(n *yaml.Node) spot { return spot{n.Line, n.Column} }

// fieldSet is the fields of a struct by the names that they have in a file.
type fieldSet struct {
	names []string
	index map[string]int
}

func fieldsOf(t reflect.Type) fieldSet {
	s := fieldSet{index: make(map[string]int, t.NumField())}
	for i := range t.NumField() {
		name := t.Field(i).Tag.Get("yaml")
		s.names = append(s.names, name)
		s.index[name] = i
	}
	return s
}
