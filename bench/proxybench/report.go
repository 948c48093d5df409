package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// report is everything that a run measured.
type report struct {
	Command   string            `json:"command"`
	Time      time.Time         `json:"time"`
	Machine   machine           `json:"machine"`
	Versions  map[string]string `json:"versions"`
	Rounds    int               `json:"rounds"`
	Scenarios []*section        `json:"scenarios"`
	Notes     []string          `json:"notes"`
	Invalid   []string          `json:"invalid"`
}

// section is one scenario's part of the report.
type section struct {
	Name     string   `json:"name"`
	Title    string   `json:"title"`
	Proxies  []*entry `json:"proxies"`
	scenario scenario
}

// entry is one proxy's part of a section.
type entry struct {
	Name   string             `json:"name"`
	Values map[string]*series `json:"values"` // by metric
}

// series is one metric of one proxy over all rounds.
type series struct {
	Title  string   `json:"title"`
	Rounds []number `json:"values"` // in the metric's unit, as printed; null where there is none
	Spread spread   `json:"spread"`
	// Ratio is to HAProxy, computed round by round.
	Ratio *spread `json:"ratioToHAProxy,omitempty"`
}

// number is a float64 whose NaN is null in JSON.
type number float64

// MarshalJSON implements json.Marshaler.
func (n number) MarshalJSON() ([]byte, error) {
	if math.IsNaN(float64(n)) || math.IsInf(float64(n), 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(n))
}

func newReport(o options, args []string, chosen []scenario, proxies []proxy) *report {
	r := &report{
		Command: strings.Join(append([]string{"go run ./bench/proxybench"}, args...), " "),
		Time:    time.Now().UTC().Truncate(time.Second), Machine: thisMachine(), Versions: map[string]string{}, Rounds: o.rounds,
	}
	for _, p := range proxies {
		if version := p.describe(); version != "" {
			r.Versions[p.name] = version
		}
	}
	for _, s := range chosen {
		part := &section{Name: s.name, Title: s.title, scenario: s}
		for _, p := range proxies {
			if p.speaks(s.protocol()) && (p.args != nil || s.direct) {
				part.Proxies = append(part.Proxies, newEntry(p.name, s.columns, o.rounds))
			}
		}
		r.Scenarios = append(r.Scenarios, part)
	}
	return r
}

func newEntry(name string, columns []metric, rounds int) *entry {
	e := &entry{Name: name, Values: map[string]*series{}}
	for _, m := range columns {
		empty := make([]number, rounds)
		for i := range empty {
			empty[i] = number(math.NaN())
		}
		e.Values[m.key] = &series{Title: m.title, Rounds: empty}
	}
	return e
}

func (r *report) entry(scenario, proxy string) *entry {
	for _, part := range r.Scenarios {
		if part.Name == scenario {
			return part.entry(proxy)
		}
	}
	return nil
}

func (s *section) entry(proxy string) *entry {
	for _, e := range s.Proxies {
		if e.Name == proxy {
			return e
		}
	}
	return nil
}

// add takes one proxy's outcome of one round.
func (r *report) add(s scenario, proxy string, round int, o outcome) {
	e := r.entry(s.name, proxy)
	for _, m := range s.columns {
		e.Values[m.key].Rounds[round] = number(m.of(o) * m.scale)
	}
}

// invalid notes a measurement that does not count.
func (r *report) invalid(scenario, proxy string, round int, err error) {
	r.Invalid = append(r.Invalid, fmt.Sprintf("%s through %s, round %d: %v", scenario, proxy, round+1, err))
}

// validity is an error if any measurement does not count.
func (r *report) validity() error {
	if len(r.Invalid) == 0 {
		return nil
	}
	return errors.New("these measurements are invalid and left out:\n  " + strings.Join(r.Invalid, "\n  "))
}

// line is one round of a scenario in short.
func (r *report) line(s scenario, round int) string {
	var parts []string
	first := s.columns[0]
	for _, part := range r.Scenarios {
		if part.Name != s.name {
			continue
		}
		for _, e := range part.Proxies {
			if v := float64(e.Values[first.key].Rounds[round]); !math.IsNaN(v) {
				parts = append(parts, e.Name+" "+fmt.Sprintf(first.format, v))
			}
		}
	}
	return strings.Join(parts, "  ") + "  (" + first.title + ")"
}

// summarize computes medians, spreads and ratios.
func (r *report) summarize() {
	for _, part := range r.Scenarios {
		base := part.entry(nameHAProxy)
		for _, e := range part.Proxies {
			for _, m := range part.scenario.columns {
				v := e.Values[m.key]
				v.Spread = spreadOf(floats(v.Rounds))
				if m.ratio && base != nil {
					ratio := spreadOf(ratios(floats(v.Rounds), floats(base.Values[m.key].Rounds)))
					v.Ratio = &ratio
				}
			}
		}
	}
	r.Notes = r.findings()
}

func floats(numbers []number) []float64 {
	out := make([]float64, len(numbers))
	for i, n := range numbers {
		out[i] = float64(n)
	}
	return out
}

// write summarizes and writes the table to w, and the JSON file and the Markdown fragment into the folder out.
func (r *report) write(out string, w io.Writer) error {
	r.summarize()
	if err := r.writeText(w); err != nil {
		return fmt.Errorf("cannot write the report: %w", err)
	}
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("cannot write the report as JSON: %w", err)
	}
	for name, content := range map[string][]byte{"proxybench.json": append(text, '\n'), "proxybench.md": r.markdown()} {
		if err := os.WriteFile(filepath.Join(out, name), content, 0o644); err != nil {
			return fmt.Errorf("cannot write the report: %w", err)
		}
	}
	_, err = fmt.Fprintf(w, "\nWritten: %s and proxybench.md beside it.\n", filepath.Join(out, "proxybench.json"))
	return err
}
