package config

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// Error is one thing that is wrong with a configuration.
type Error struct {
	// File is the file's name as it was given; empty for a configuration that came from flags or from code.
	File string
	// Line and Column count from 1, in characters; 0 if the error has no place in a file.
	Line, Column int
	// Field is the path of the field, such as pools.llama.endpoints[0]; empty if the whole file is meant.
	Field string
	// Problem says what is wrong.
	Problem string
	// Want says what would be right.
	Want string
}

// Error reads FILE:LINE:COLUMN: FIELD: PROBLEM; WANT, without the parts that are empty.
func (e Error) Error() string {
	var b strings.Builder
	if e.File != "" {
		b.WriteString(e.File)
		if e.Line > 0 {
			b.WriteString(":" + strconv.Itoa(e.Line) + ":" + strconv.Itoa(e.Column))
		}
		b.WriteString(": ")
	}
	if e.Field != "" {
		b.WriteString(e.Field + ": ")
	}
	b.WriteString(e.Problem)
	if e.Want != "" {
		b.WriteString("; " + e.Want)
	}
	return b.String()
}

// Errors is everything that is wrong with a configuration, in the order of the file.
type Errors []Error

// Error has one line for each error.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i := range e {
		lines[i] = e[i].Error()
	}
	return strings.Join(lines, "\n")
}

// maxShown is how many characters of a value an error repeats: enough to find it, too few to flood a terminal.
const maxShown = 80

// clip shortens a value for an error.
func clip(s string) string {
	if utf8.RuneCountInString(s) <= maxShown {
		return s
	}
	return string([]rune(s)[:maxShown]) + "..."
}

// quote shortens and quotes a value for an error, so that spaces and control characters show.
func quote(s string) string { return strconv.Quote(clip(s)) }
