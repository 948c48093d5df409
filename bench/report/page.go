package report

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
)

// Table is a table of text. The first cell of a row names it.
type Table struct {
	Title string
	Head  []string
	Rows  [][]string
}

// Section is a part of a page: text, then charts, then tables.
type Section struct {
	Title string
	// Text has a paragraph for each entry.
	Text   []string
	Charts []Chart
	Bars   []Bars
	Tables []Table
}

// Page is an HTML page of one file, which loads nothing from anywhere and needs no script.
type Page struct {
	Title string
	// Notice stands out at the top; empty is none.
	Notice   []string
	Sections []Section
}

//go:embed page.html
var pageSource string

var pageTemplate = template.Must(template.New("page").Parse(pageSource))

// drawnPage is a page as the template takes it.
type drawnPage struct {
	Title    string
	Notice   []string
	Sections []drawnSection
}

type drawnSection struct {
	Title  string
	Text   []string
	Charts []drawing
	Bars   []drawnBars
	Tables []Table
}

// WriteHTML writes the page.
func (p *Page) WriteHTML(w io.Writer) error {
	d := drawnPage{Title: p.Title, Notice: p.Notice}
	for i, s := range p.Sections {
		section := drawnSection{Title: s.Title, Text: s.Text, Tables: s.Tables}
		for k, c := range s.Charts {
			section.Charts = append(section.Charts, c.draw(fmt.Sprintf("chart-%d-%d", i, k)))
		}
		for k, b := range s.Bars {
			section.Bars = append(section.Bars, b.draw(fmt.Sprintf("bars-%d-%d", i, k)))
		}
		d.Sections = append(d.Sections, section)
	}
	return pageTemplate.Execute(w, d)
}
