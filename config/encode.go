package config

import (
	"bytes"
	"fmt"
	"reflect"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// YAML writes the configuration as a file that Parse reads back to an equal one, with every default spelt out. Fields that are
// absent or empty are left out. The values of headers are in it as they are: see Redacted.
func (c *Config) YAML() ([]byte, error) {
	var b bytes.Buffer
	enc := yaml.NewEncoder(&b)
	enc.SetIndent(2)
	err := enc.Encode(encode(reflect.ValueOf(c).Elem(), ""))
	if err == nil {
		err = enc.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("cannot write configuration: %w", err)
	}
	return b.Bytes(), nil
}

// encode is v, a field with the given struct tag, as a YAML node; nil if it says nothing.
func encode(v reflect.Value, tag reflect.StructTag) *yaml.Node {
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		return encode(v.Elem(), tag)
	case reflect.Struct:
		return encodeStruct(v)
	case reflect.Map:
		return encodeMap(v)
	case reflect.Slice:
		return encodeSlice(v)
	case reflect.String:
		if v.Len() == 0 && tag != "" {
			return nil
		}
		return text(v.String())
	case reflect.Bool:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: strconv.FormatBool(v.Bool())}
	case reflect.Float64:
		return &yaml.Node{Kind: yaml.ScalarNode, Value: strconv.FormatFloat(v.Float(), 'f', -1, 64)}
	}
	// Tagless, as 30s and 64KiB are texts for YAML and 3 is a number.
	return &yaml.Node{Kind: yaml.ScalarNode, Value: show(v.Int(), v.Type(), tag)}
}

func encodeStruct(v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for i := range v.NumField() {
		f := v.Type().Field(i)
		if child := encode(v.Field(i), f.Tag); child != nil {
			n.Content = append(n.Content, text(f.Tag.Get("yaml")), child)
		}
	}
	return n
}

func encodeMap(v reflect.Value) *yaml.Node {
	if v.Len() == 0 {
		return nil
	}
	n := &yaml.Node{Kind: yaml.MappingNode}
	for _, key := range sortedKeys(v) {
		if child := encode(v.MapIndex(reflect.ValueOf(key)), ""); child != nil {
			n.Content = append(n.Content, text(key), child)
		}
	}
	return n
}

func encodeSlice(v reflect.Value) *yaml.Node {
	if v.Len() == 0 {
		return nil
	}
	n := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range v.Len() {
		n.Content = append(n.Content, encode(v.Index(i), ""))
	}
	return n
}

// plainText is what needs no quotes in YAML, whatever stands around it, unless it reads as another type.
var plainText = regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9/._-]*$`)

// text is a text as a YAML node. It is quoted unless that is plainly needless, so that no rule of YAML's plain style is relied on.
func text(s string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
	if !plainText.MatchString(s) {
		n.Style = yaml.DoubleQuotedStyle
	}
	return n
}
