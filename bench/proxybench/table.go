package main

import (
	"bytes"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
)

// grid lays a section out as cells, the first row being the header.
func (s *section) grid() [][]string {
	header := []string{"proxy"}
	for i, m := range s.scenario.columns {
		header = append(header, m.title)
		if i == 0 {
			header = append(header, "min–max")
		}
		if m.ratio && s.hasRatio(m) {
			header = append(header, "× HAProxy", "min–max")
		}
	}
	rows := [][]string{header}
	for _, e := range s.Proxies {
		rows = append(rows, s.row(e))
	}
	return rows
}

func (s *section) hasRatio(m metric) bool {
	return slices.ContainsFunc(s.Proxies, func(e *entry) bool { return e.Values[m.key].Ratio != nil })
}

func (s *section) row(e *entry) []string {
	row := []string{e.Name}
	for i, m := range s.scenario.columns {
		v := e.Values[m.key]
		row = append(row, cell(m.format, v.Spread.Median, v.Spread.Rounds))
		if i == 0 {
			row = append(row, extremes(m.format, v.Spread))
		}
		if m.ratio && s.hasRatio(m) {
			row = append(row, cell("%.2f", v.Ratio.Median, v.Ratio.Rounds), extremes("%.2f", *v.Ratio))
		}
	}
	return row
}

func cell(format string, v float64, rounds int) string {
	if rounds == 0 {
		return "-"
	}
	return fmt.Sprintf(format, v)
}

func extremes(format string, s spread) string {
	if s.Rounds == 0 {
		return "-"
	}
	return fmt.Sprintf(format+"–"+format, s.Min, s.Max)
}

// writeText writes all sections as aligned text.
func (r *report) writeText(w io.Writer) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, part := range r.Scenarios {
		fmt.Fprintf(t, "\n%s (median of %d rounds)\n", part.Title, r.Rounds)
		for _, row := range part.grid() {
			fmt.Fprintln(t, strings.Join(row, "\t")+"\t")
		}
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, note := range r.Notes {
		fmt.Fprintf(w, "\n%s", note)
	}
	for _, invalid := range r.Invalid {
		fmt.Fprintf(w, "\nINVALID: %s", invalid)
	}
	_, err := fmt.Fprintln(w)
	return err
}

// markdown is the report as a fragment for the documentation.
func (r *report) markdown() []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "Measured %s with\n\n```\n%s\n```\n\n", r.Time.Format("2006-01-02"), r.Command)
	fmt.Fprintf(&b, "on %s, %d cores, %s, Linux %s, %s.", r.Machine.CPU, r.Machine.Cores, r.Machine.Memory, r.Machine.Kernel, r.Machine.Go)
	for _, name := range slices.Sorted(maps.Keys(r.Versions)) {
		fmt.Fprintf(&b, " %s: %s.", name, r.Versions[name])
	}
	fmt.Fprintf(&b, " Each figure is the median of %d rounds in which the proxies took turns, each on one core; ratios are taken round by round.\n", r.Rounds)
	for _, part := range r.Scenarios {
		fmt.Fprintf(&b, "\n#### %s\n\n", part.Title)
		for i, row := range part.grid() {
			fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
			if i == 0 {
				fmt.Fprintf(&b, "|---|%s\n", strings.Repeat("---:|", len(row)-1))
			}
		}
	}
	b.WriteString("\n")
	for _, note := range r.Notes {
		fmt.Fprintf(&b, "- %s\n", note)
	}
	for _, invalid := range r.Invalid {
		fmt.Fprintf(&b, "- INVALID and left out: %s\n", invalid)
	}
	return b.Bytes()
}
