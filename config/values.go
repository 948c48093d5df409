package config

import (
	"cmp"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// values checks each value under v by itself: texts are printable, words are known, numbers are in range. What is wrong is marked
// as broken. tag is the struct tag of the field that v is.
func (r *report) values(v reflect.Value, path string, tag reflect.StructTag) {
	if r.full {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			r.values(v.Elem(), path, tag)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Type().Field(i)
			r.values(v.Field(i), under(path, f.Tag.Get("yaml")), f.Tag)
		}
	case reflect.Slice:
		r.length(v.Len(), path)
		for i := range min(v.Len(), maxItems) {
			r.values(v.Index(i), item(path, i), "")
		}
	case reflect.Map:
		r.length(v.Len(), path)
		for _, key := range sortedKeys(v) {
			r.printable(key, under(path, key), "")
			r.values(v.MapIndex(reflect.ValueOf(key)), under(path, key), secretOf(tag))
		}
	case reflect.String:
		r.printable(v.String(), path, tag)
		r.word(v.String(), path, tag)
	case reflect.Int, reflect.Int64:
		r.integer(v, path, tag)
	case reflect.Float64:
		r.float(v.Float(), path, tag)
	}
}

func sortedKeys(m reflect.Value) []string {
	keys := make([]string, 0, m.Len())
	for _, k := range m.MapKeys() {
		keys = append(keys, k.String())
	}
	slices.Sort(keys)
	return keys
}

func (r *report) length(n int, path string) {
	if n > maxItems {
		r.value(path, fmt.Sprintf("has %d items", n), fmt.Sprintf("want at most %d", maxItems))
	}
}

// printable checks that nothing in a text could end a line of a message, a log or a file early.
func (r *report) printable(s, path string, tag reflect.StructTag) {
	shown := quote(s)
	if isSecret(tag) {
		shown = "the value"
	}
	if !utf8.ValidString(s) {
		r.value(path, shown+" is not valid UTF-8", "want UTF-8")
		return
	}
	control := func(c rune) bool { return unicode.IsControl(c) && c != '\t' }
	if i := strings.IndexFunc(s, control); i >= 0 {
		c, _ := utf8.DecodeRuneInString(s[i:])
		r.value(path, fmt.Sprintf("%s has the control character %U", shown, c), "remove it")
	}
}

// word checks a text that has an enum tag.
func (r *report) word(s, path string, tag reflect.StructTag) {
	enum, ok := tag.Lookup("enum")
	if known := strings.Split(enum, ","); ok && !slices.Contains(known, s) {
		r.value(path, quote(s)+" is not known", oneOf(s, known))
	}
}

// integer checks a number, size or duration against its tags min, max and zero.
func (r *report) integer(v reflect.Value, path string, tag reflect.StructTag) {
	low, limited := tag.Lookup("min")
	if !limited {
		return
	}
	high, n := tag.Get("max"), v.Int()
	zero, off := tag.Lookup("zero")
	if n == 0 && off || n >= bound(low, v.Type(), tag) && n <= bound(high, v.Type(), tag) {
		return
	}
	want := fmt.Sprintf("want %s to %s", low, high)
	if off {
		want = fmt.Sprintf("want 0 (%s), or %s to %s", zero, low, high)
	}
	r.value(path, "is out of range: "+show(n, v.Type(), tag), want)
}

// bound reads a min or max tag.
func bound(s string, t reflect.Type, tag reflect.StructTag) int64 {
	var n int64
	var problem string
	switch {
	case t == durationType:
		var d Duration
		d, problem, _ = parseDuration(s)
		n = int64(d)
	case tag.Get("unit") == "bytes":
		n, problem, _ = parseSize(s)
	default:
		var err error
		if n, err = strconv.ParseInt(s, 10, 64); err != nil {
			problem = err.Error()
		}
	}
	if problem != "" {
		panic("BUG: bound " + s + " of a configuration field " + problem)
	}
	return n
}

// show writes a number as a file would.
func show(n int64, t reflect.Type, tag reflect.StructTag) string {
	switch {
	case t == durationType:
		return Duration(n).String()
	case tag.Get("unit") == "bytes":
		return formatSize(n)
	}
	return strconv.FormatInt(n, 10)
}

func (r *report) float(f float64, path string, tag reflect.StructTag) {
	low, high := tag.Get("min"), tag.Get("max")
	minimum, err := strconv.ParseFloat(low, 64)
	maximum, err2 := strconv.ParseFloat(high, 64)
	if err := cmp.Or(err, err2); err != nil {
		panic("BUG: bounds of a configuration field: " + err.Error())
	}
	// Written so that NaN, which compares with nothing, is out of range.
	if f >= minimum && f <= maximum && !math.Signbit(f) {
		return
	}
	r.value(path, "is out of range: "+strconv.FormatFloat(f, 'g', -1, 64), fmt.Sprintf("want %s to %s", low, high))
}
