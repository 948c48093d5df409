package route

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// HeaderEdit is an Edit made ready for use: drop the fields that Drops names, then add Lines (HTTP/1.1) or Fields (HTTP/2).
type HeaderEdit struct {
	// Lines are the fields to add, each as "Name: value\r\n".
	Lines []byte
	// Fields are the fields to add, with names in lower case.
	Fields []Field

	drop    []string // lower case
	lengths uint64   // bit n: some name to drop has n bytes; bit 63: 63 or more
}

// Field is one header field.
type Field struct{ Name, Value string }

// Empty reports whether there is nothing to change.
func (e *HeaderEdit) Empty() bool { return len(e.drop) == 0 }

// Drops reports whether fields called name, in any case, are to be dropped.
func (e *HeaderEdit) Drops(name []byte) bool {
	if e.lengths&(1<<min(len(name), 63)) == 0 {
		return false
	}
	return slices.ContainsFunc(e.drop, func(drop string) bool { return equalLower(name, drop) })
}

// equalLower reports whether name is lower, which is in lower case, but for the case of ASCII letters.
func equalLower(name []byte, lower string) bool {
	if len(name) != len(lower) {
		return false
	}
	for i, c := range name {
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != lower[i] {
			return false
		}
	}
	return true
}

// gatewayFields belong to the gateway: they frame the message, hold for one connection only, or say where the request goes.
// A rule that edited them would break what comes after it.
var gatewayFields = []string{"connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te", "trailer",
	"transfer-encoding", "upgrade"}

func (e *Edit) validate() error {
	var errs []error
	seen := make(map[string]bool)
	for name, value := range e.Set {
		lower := strings.ToLower(name)
		if seen[lower] {
			errs = append(errs, fmt.Errorf("header %s is set twice, in different case; keep one", name))
		}
		seen[lower] = true
		errs = append(errs, checkField(name, value), checkEditable(lower))
	}
	for _, name := range e.Remove {
		errs = append(errs, checkField(name, ""), checkEditable(strings.ToLower(name)))
	}
	return errors.Join(errs...)
}

func checkEditable(lower string) error {
	if slices.Contains(gatewayFields, lower) {
		return fmt.Errorf("header %s belongs to the gateway and cannot be edited; remove the edit", lower)
	}
	return nil
}

// compile makes the edit ready; fields are added in the order of their names, so that the same rule always sends the same bytes.
func (e *Edit) compile() HeaderEdit {
	var h HeaderEdit
	names := make([]string, 0, len(e.Set))
	for name := range e.Set {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		h.Lines = fmt.Appendf(h.Lines, "%s: %s\r\n", name, e.Set[name])
		h.Fields = append(h.Fields, Field{strings.ToLower(name), e.Set[name]})
	}
	for _, name := range slices.Concat(names, e.Remove) {
		if lower := strings.ToLower(name); !slices.Contains(h.drop, lower) {
			h.drop = append(h.drop, lower)
			h.lengths |= 1 << min(len(lower), 63)
		}
	}
	return h
}
