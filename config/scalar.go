package config

import (
	"fmt"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

var (
	durationType   = reflect.TypeFor[Duration]()
	decimalPattern = regexp.MustCompile(`^(0|-?[1-9][0-9]*)$`)
	specialPattern = regexp.MustCompile(`(?i)^[-+]?\.(nan|inf)$`)
)

// scalar fills a text, a boolean or a number.
func (d *decoder) scalar(n *yaml.Node, path string, out reflect.Value, tag reflect.StructTag) {
	switch out.Kind() {
	case reflect.String:
		d.text(n, path, out, tag)
	case reflect.Bool:
		v, err := strconv.ParseBool(strings.ToLower(n.Value))
		if typeOf(n) != "!!bool" || err != nil {
			d.wrong(n, path, "is "+describe(n), "want true or false")
			return
		}
		out.SetBool(v)
	case reflect.Int, reflect.Int64:
		if tag.Get("unit") == "bytes" {
			d.size(n, path, out)
			return
		}
		d.integer(n, path, out)
	case reflect.Float64:
		d.float(n, path, out)
	default:
		panic("BUG: no decoder for " + out.Type().String())
	}
}

func (d *decoder) text(n *yaml.Node, path string, out reflect.Value, tag reflect.StructTag) {
	number := isNumber(n) && n.Style&yaml.TaggedStyle == 0
	if !isText(n) && !(number && tag.Get("bare") == "number") {
		want := "want text"
		switch {
		case isSecret(tag) && typeOf(n) != "!!bool":
			want += ": write it in quotes"
		case n.Kind == yaml.ScalarNode:
			want += ": write " + quote(n.Value)
		}
		d.wrong(n, path, "is "+describeFor(n, out.Type(), tag), want)
		return
	}
	// A template that came out empty must not turn a match into one that takes everything. Values of headers may be empty.
	if n.Value == "" && tag.Get("yaml") != "" {
		d.wrong(n, path, "is empty", "give it a value, or leave it out")
		return
	}
	out.SetString(n.Value)
}

func (d *decoder) integer(n *yaml.Node, path string, out reflect.Value) {
	switch v, err := strconv.ParseInt(n.Value, 10, 64); {
	case !isNumber(n):
		d.wrong(n, path, "is "+describe(n), "want a whole number")
	case !decimalPattern.MatchString(n.Value):
		d.wrong(n, path, "is "+describe(n), "want a whole number in plain decimal digits")
	case err != nil || out.OverflowInt(v):
		d.wrong(n, path, "is too large: "+clip(n.Value), "want a smaller number")
	default:
		out.SetInt(v)
	}
}

func (d *decoder) size(n *yaml.Node, path string, out reflect.Value) {
	if !isNumber(n) && !isText(n) {
		d.wrong(n, path, "is "+describe(n), wantSize)
		return
	}
	v, problem, want := parseSize(n.Value)
	if problem == "" && out.OverflowInt(v) {
		problem, want = "is too large: "+clip(n.Value), wantSize
	}
	if problem != "" {
		d.wrong(n, path, problem, want)
		return
	}
	out.SetInt(v)
}

func (d *decoder) float(n *yaml.Node, path string, out reflect.Value) {
	text := n.Value
	if specialPattern.MatchString(text) {
		text = strings.Replace(text, ".", "", 1) // the validation says what is wrong with .nan and .inf
	}
	v, err := strconv.ParseFloat(text, 64)
	if !isNumber(n) || err != nil {
		d.wrong(n, path, "is "+describe(n), "want a number, without a percent sign or any other unit")
		return
	}
	out.SetFloat(v)
}

func (d *decoder) duration(n *yaml.Node, path string, out reflect.Value) {
	if !isNumber(n) && !isText(n) {
		d.wrong(n, path, "is "+describe(n), wantDuration)
		return
	}
	v, problem, want := parseDuration(n.Value)
	if problem != "" {
		d.wrong(n, path, problem, want)
		return
	}
	out.SetInt(int64(v))
}

// isText says whether a node is a text. Dates are: nothing in a configuration is one, but versions of models look like them.
func isText(n *yaml.Node) bool {
	return typeOf(n) == "!!str" || typeOf(n) == "!!timestamp" && n.Style&yaml.TaggedStyle == 0
}

func isNumber(n *yaml.Node) bool { return typeOf(n) == "!!int" || typeOf(n) == "!!float" }

// typeOf is a node's tag, without those that a file puts on a node of another kind.
func typeOf(n *yaml.Node) string {
	tag := n.ShortTag()
	ofKind := n.Kind
	switch tag {
	case "!!map":
		ofKind = yaml.MappingNode
	case "!!seq":
		ofKind = yaml.SequenceNode
	case "!!str", "!!bool", "!!int", "!!float", "!!null", "!!timestamp":
		ofKind = yaml.ScalarNode
	}
	if n.Kind != ofKind {
		return ""
	}
	return tag
}

// describe says what a node is, for an error.
func describe(n *yaml.Node) string {
	switch typeOf(n) {
	case "!!map":
		return "a mapping"
	case "!!seq":
		return "a list"
	case "!!null":
		return "no value"
	case "!!bool":
		return "the boolean " + clip(n.Value)
	case "!!int", "!!float":
		return "the number " + clip(n.Value)
	case "!!str", "!!timestamp":
		return "the text " + quote(n.Value)
	}
	if n.Kind == yaml.AliasNode {
		return "an alias"
	}
	return fmt.Sprintf("a value with the tag %s", clip(n.Tag))
}

// describeFor is describe for a value of a field that may hold secrets, of which it says the kind only.
func describeFor(n *yaml.Node, t reflect.Type, tag reflect.StructTag) string {
	if isSecret(tag) || holdsSecrets(t) {
		return describeKind(n)
	}
	return describe(n)
}

// describeKind says what a node is, and nothing of what it says but true and false.
func describeKind(n *yaml.Node) string {
	switch typeOf(n) {
	case "!!int", "!!float":
		return "a number"
	case "!!str", "!!timestamp":
		return "a text"
	case "!!bool", "!!map", "!!seq", "!!null":
		return describe(n)
	}
	return "a value with a tag"
}
