package report

import (
	"bytes"
	"encoding/xml"
	"errors"
	"io"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/net/html"
)

// void are HTML's elements without an end.
var void = []string{"meta", "link", "br", "img", "input", "hr"}

// checkPage checks that a page is well-formed, loads nothing and can be read out.
func checkPage(t *testing.T, page string) {
	t.Helper()
	var open []string
	ids := make(map[string]bool)
	var labelled []string
	z := html.NewTokenizer(strings.NewReader(page))
	for {
		kind := z.Next()
		if kind == html.ErrorToken {
			if !errors.Is(z.Err(), io.EOF) {
				t.Fatal(z.Err())
			}
			break
		}
		token := z.Token()
		switch kind {
		case html.StartTagToken, html.SelfClosingTagToken:
			if slices.Contains([]string{"script", "link", "img", "iframe", "object", "embed", "image", "use"}, token.Data) {
				t.Errorf("the page has <%s>", token.Data)
			}
			for _, a := range token.Attr {
				if slices.Contains([]string{"src", "href", "srcset", "action", "data", "style"}, a.Key) || strings.HasPrefix(a.Key, "on") {
					t.Errorf("<%s> has %s=%q", token.Data, a.Key, a.Val)
				}
				switch a.Key {
				case "id":
					if ids[a.Val] {
						t.Errorf("the id %s is there twice", a.Val)
					}
					ids[a.Val] = true
				case "aria-labelledby":
					labelled = append(labelled, strings.Fields(a.Val)...)
				}
			}
			if kind == html.StartTagToken && !slices.Contains(void, token.Data) {
				open = append(open, token.Data)
			}
		case html.EndTagToken:
			if n := len(open); n == 0 || open[n-1] != token.Data {
				t.Fatalf("</%s> ends %v", token.Data, open)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Errorf("%v never end", open)
	}
	for _, id := range labelled {
		if !ids[id] {
			t.Errorf("nothing has the id %s", id)
		}
	}
	if m := regexp.MustCompile(`url\(|@import|https?://[^"'\s<]*\.(js|css|png|woff)`).FindString(page); m != "" {
		t.Errorf("the page refers to %s", m)
	}
	checkSVGs(t, page)
}

// checkSVGs checks that each picture is well-formed XML, has only finite numbers, and says what it shows.
func checkSVGs(t *testing.T, page string) {
	t.Helper()
	svgs := regexp.MustCompile(`(?s)<svg.*?</svg>`).FindAllString(page, -1)
	if len(svgs) == 0 {
		t.Error("the page has no picture")
	}
	for _, svg := range svgs {
		d := xml.NewDecoder(strings.NewReader(svg))
		for {
			_, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%v in %s", err, svg)
			}
		}
		if m := regexp.MustCompile(`NaN|Inf|ZgotmplZ`).FindString(svg); m != "" {
			t.Errorf("%s in %s", m, svg)
		}
		if !strings.Contains(svg, "aria-hidden") && (!strings.Contains(svg, "<title id=") || !strings.Contains(svg, "<desc id=")) {
			t.Errorf("a picture does not say what it shows: %s", svg)
		}
	}
}

func pageOf(t *testing.T, p *Page) string {
	t.Helper()
	var b bytes.Buffer
	if err := p.WriteHTML(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestReportPage(t *testing.T) {
	r := sample()
	r.Warnings = append(r.Warnings, "mind <this>")
	page := pageOf(t, r.Page())
	checkPage(t, page)
	for _, want := range []string{
		"Time to first token", "Time per output token", "Goodput by load", "Latency over time", "Throughput over time", "Requests in flight over time",
		"Requests by endpoint: a at 20/s", "prefers-color-scheme: dark", "mind &lt;this&gt;", "X: &lt;script&gt;alert", "b &amp; c", "a holds up to 10/s", "1 status-500",
	} {
		if !strings.Contains(page, want) {
			t.Errorf("the page has no %q", want)
		}
	}
}

func TestPageOfAReportWithoutAnswers(t *testing.T) {
	m := &Measurement{Samples: []Sample{failed(10, Connect, 0)}, Schedule: ms(10)}
	r := &Report{CutShort: true, Runs: []Run{{Target: "a", Round: 1, Result: m.Result(Objectives{})}}}
	r.Finish()
	page := pageOf(t, r.Page())
	checkPage(t, page)
	if !strings.Contains(page, "was cut short") || !strings.Contains(page, "1 connect") {
		t.Error("the page does not say what happened")
	}
}

func TestChartLeavesOutWhatCannotBeDrawn(t *testing.T) {
	c := Chart{Title: "T", Description: "D", X: Axis{Label: "x", Log: true}, Y: Axis{Label: "y", Unit: "s", Log: true}, Points: true, Series: []Series{
		{"odd", []Point{{0, 1}, {-1, 1}, {math.NaN(), 1}, {1, math.Inf(1)}, {1, 0}}},
		{"good", []Point{{1, 1}, {10, 0.1}, {0, 5}, {1000, 0.01}}},
		{"empty", nil},
	}}
	page := pageOf(t, &Page{Title: "P", Sections: []Section{{Title: "S", Charts: []Chart{c, {Title: "empty"}}, Bars: []Bars{{Title: "none"}, {Title: "flat", Items: []Bar{{"a", 0}}}}}}})
	checkPage(t, page)
	lines := c.draw("x").Lines
	if lines[0].Path != "" || strings.Count(lines[1].Path, "M") != 2 || len(lines[1].Dots) != 3 {
		t.Errorf("lines %+v", lines)
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		axis   Axis
		values []float64
		want   string
	}{
		{Axis{Unit: "s"}, []float64{0.0031, 0.012}, "0|2 ms|4 ms|6 ms|8 ms|10 ms|12 ms"},
		{Axis{}, []float64{1, 97}, "0|20|40|60|80|100"},
		{Axis{}, []float64{52_000}, "0|10 k|20 k|30 k|40 k|50 k|60 k"},
		{Axis{Unit: "share"}, []float64{0.2}, "0|20 %|40 %|60 %|80 %|100 %"},
		{Axis{Unit: "s", Log: true}, []float64{0.0015, 0.03}, "2 ms|5 ms|10 ms|20 ms"},
		{Axis{Unit: "s", Log: true}, []float64{0.000001, 10}, "1 µs|10 µs|100 µs|1 ms|10 ms|100 ms|1 s|10 s"},
		{Axis{Unit: "s", Log: true}, []float64{0.029, 0.043}, "30 ms|32 ms|34 ms|36 ms|38 ms|40 ms|42 ms"},
		{Axis{Unit: "s", Log: true}, []float64{0.03}, "24 ms|26 ms|28 ms|30 ms|32 ms|34 ms|36 ms"},
		{Axis{}, nil, "0|0.2|0.4|0.6|0.8|1"},
	} {
		var got []string
		last := math.Inf(-1)
		for _, tick := range newScale(c.axis, c.values, 0, 100).ticks() {
			got = append(got, tick.Label)
			if tick.At <= last || tick.At < -1e-6 || tick.At > 100+1e-6 {
				t.Errorf("%v: tick %s is at %v", c.values, tick.Label, tick.At)
			}
			last = tick.At
		}
		if strings.Join(got, "|") != c.want {
			t.Errorf("%v: ticks %s, want %s", c.values, strings.Join(got, "|"), c.want)
		}
	}
}

func TestChartTableIsShort(t *testing.T) {
	var points []Point
	for i := range 1001 {
		points = append(points, Point{float64(i), float64(i)})
	}
	rows := Chart{Series: []Series{{"a", points}, {"b", points[:3]}}}.table().Rows
	if len(rows) != tableRows+3 || rows[tableRows-1][1] != "1000" || rows[0][1] != "0" {
		t.Errorf("rows %v", rows)
	}
}
