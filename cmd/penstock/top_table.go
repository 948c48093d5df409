package main

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// style paints text: how is one of the names below.
type style func(text, how string) string

func plain(text, _ string) string { return text }

// painted is the style of terminals that have colours. They are the terminal's own, and everything that they say is also in words.
func painted(text, how string) string {
	code := map[string]string{"title": "1", "faint": "2", "good": "32", "warn": "33", "bad": "1;31", "marked": "7"}[how]
	if code == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// table is rows of cells, the titles first. The column of a title that begins with > is flush right.
type table [][]string

// format returns a line for each row; how says how the cell of a row, from 0 without the titles, is painted.
func (t table) format(paint style, how func(row, column int) string) []string {
	right := make([]bool, len(t[0]))
	for i := range t[0] {
		t[0][i], right[i] = strings.CutPrefix(t[0][i], ">")
	}
	widths := make([]int, len(t[0]))
	for _, row := range t {
		for i, cell := range row {
			if len(row) > 1 {
				widths[i] = max(widths[i], utf8.RuneCountInString(cell))
			}
		}
	}
	all := make([]string, len(t))
	for r, row := range t {
		var b strings.Builder
		for i, cell := range row {
			text := printable(cell)
			fill := strings.Repeat(" ", max(0, widths[i]-utf8.RuneCountInString(text)))
			name := "faint"
			if r > 0 {
				name = how(r-1, i)
			}
			switch {
			case right[i]:
				b.WriteString(fill + paint(text, name))
			case i == len(row)-1:
				b.WriteString(paint(text, name))
			default:
				b.WriteString(paint(text, name) + fill)
			}
			if i < len(row)-1 {
				b.WriteString("  ")
			}
		}
		all[r] = strings.TrimRight(b.String(), " ")
	}
	return all
}

// cut shortens a line to a number of columns, codes for colours not counted; each character is taken to have one column.
func cut(line string, width int) string {
	column, code, coloured := 0, false, false
	for i, r := range line {
		switch {
		case r == '\x1b':
			code, coloured = true, true
		case code:
			code = r != 'm'
		case column == width && coloured:
			return line[:i] + "\x1b[0m"
		case column == width:
			return line[:i]
		default:
			column++
		}
	}
	return line
}

// printable replaces what a terminal could take for a command, and what has no width or turns the direction of writing: clients choose their requests'
// ids and models, and endpoints the words of some failures.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '.'
		}
		return r
	}, text)
}
