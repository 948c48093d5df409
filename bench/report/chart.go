package report

import (
	"fmt"
	"math"
	"strings"
)

// Chart is a line chart.
type Chart struct {
	// Title and Description say what it shows; the description is read out where the picture cannot be seen.
	Title, Description string
	// X and Y are the axes.
	X, Y Axis
	// Series are the lines, at most as many as can be told apart: 12.
	Series []Series
	// Points says that single values were measured, which are marked.
	Points bool
}

// Axis is an axis of a chart.
type Axis struct {
	Label string
	// Unit is one of Figure's units, and says how ticks are written.
	Unit string
	// Log gives each factor of ten the same width; values that are not positive are left out.
	Log bool
}

// Series is a line, with its points in order of X.
type Series struct {
	Name   string
	Points []Point
}

// Geometry of a drawn chart, in the SVG's units.
const (
	chartWidth, chartHeight                        = 720, 300
	marginLeft, marginRight, marginTop, marginFoot = 78, 14, 12, 46
)

// drawing is a chart as the template draws it.
type drawing struct {
	ID                          string
	Chart                       Chart
	Width, Height               int
	Left, Right, Top, Bottom    float64
	LabelX, LabelY, TickY, MidY float64
	XTicks, YTicks              []tick
	Lines                       []drawnLine
	Table                       Table
}

type tick struct {
	At    float64
	Label string
}

type drawnLine struct {
	Class, Name, Path string
	Dots              []Point
}

// scale maps values to a stretch of the picture.
type scale struct {
	axis         Axis
	low, high    float64 // values, or their logarithms
	start, width float64
}

func (s scale) at(x float64) float64 {
	if s.axis.Log {
		x = math.Log10(x)
	}
	return s.start + (x-s.low)/(s.high-s.low)*s.width
}

// newScale makes room for values; an axis that is not logarithmic begins at 0.
func newScale(axis Axis, values []float64, start, width float64) scale {
	s := scale{axis: axis, start: start, width: width}
	if axis.Log {
		s.low, s.high = math.Inf(1), math.Inf(-1)
		for _, x := range values {
			s.low, s.high = min(s.low, math.Log10(x)), max(s.high, math.Log10(x))
		}
		if len(values) == 0 {
			s.low, s.high = 0, 1
		}
		if s.high-s.low < 0.1 {
			s.low, s.high = s.low-0.1, s.high+0.1
		}
		return s
	}
	for _, x := range values {
		s.low, s.high = min(s.low, x), max(s.high, x)
	}
	if s.high == s.low {
		s.high++
	}
	if axis.Unit == "share" {
		s.high = max(s.high, 1)
	} else if step := niceStep(s.high - s.low); len(values) > 0 {
		s.high = math.Ceil(s.high/step-1e-9) * step
	}
	return s
}

// niceStep is 1, 2 or 5 times a power of ten, and fits four to ten times into the span.
func niceStep(span float64) float64 {
	base := math.Pow(10, math.Floor(math.Log10(span/4)))
	for _, k := range []float64{5, 2} {
		if span/(k*base) >= 4 {
			return k * base
		}
	}
	return base
}

// ticks are the values that the axis names.
func (s scale) ticks() []tick {
	var list []tick
	add := func(x float64) { list = append(list, tick{s.at(x), tickLabel(x, s.axis.Unit)}) }
	if !s.axis.Log {
		step := niceStep(s.high - s.low)
		for k := math.Ceil(s.low/step - 1e-9); k*step <= s.high+step*1e-9; k++ {
			add(k * step)
		}
		return list
	}
	factors := []float64{1, 2, 5}
	if s.high-s.low > 3 {
		factors = factors[:1]
	}
	for power := math.Floor(s.low); power <= s.high; power++ {
		for _, k := range factors {
			if x := k * math.Pow(10, power); math.Log10(x) >= s.low-1e-9 && math.Log10(x) <= s.high+1e-9 {
				add(x)
			}
		}
	}
	if len(list) < 3 { // a narrow range has its ticks as if it were linear
		list = nil
		low, high := math.Pow(10, s.low), math.Pow(10, s.high)
		step := niceStep(high - low)
		for k := math.Ceil(low / step); k*step <= high; k++ {
			add(k * step)
		}
	}
	return list
}

// tickLabel is short, as ticks are round numbers.
func tickLabel(x float64, unit string) string {
	short := func(x float64) string { return fmt.Sprintf("%.4g", x) }
	switch a := math.Abs(x); {
	case a < 1e-12: // and never -0
		return "0"
	case unit == "share":
		return short(x*100) + " %"
	case unit != "s":
		if a >= 1e6 {
			return short(x/1e6) + " M"
		}
		if a >= 1e4 {
			return short(x/1e3) + " k"
		}
		return short(x)
	case a < 0.9999e-3:
		return short(x*1e6) + " µs"
	case a < 0.9999:
		return short(x*1e3) + " ms"
	}
	return short(x) + " s"
}

// draw lays the chart out. The ID is unique in its page.
func (c Chart) draw(id string) drawing {
	usable := func(p Point) bool {
		return !math.IsNaN(p.X+p.Y) && !math.IsInf(p.X+p.Y, 0) && (!c.X.Log || p.X > 0) && (!c.Y.Log || p.Y > 0)
	}
	var xs, ys []float64
	for _, s := range c.Series {
		for _, p := range s.Points {
			if usable(p) {
				xs, ys = append(xs, p.X), append(ys, p.Y)
			}
		}
	}
	d := drawing{
		ID: id, Chart: c, Width: chartWidth, Height: chartHeight,
		Left: marginLeft, Right: chartWidth - marginRight, Top: marginTop, Bottom: chartHeight - marginFoot,
		LabelX: (marginLeft + chartWidth - marginRight) / 2, LabelY: chartHeight - 6, TickY: chartHeight - marginFoot + 18,
		MidY: (marginTop + chartHeight - marginFoot) / 2,
	}
	x := newScale(c.X, xs, d.Left, d.Right-d.Left)
	y := newScale(c.Y, ys, d.Bottom, d.Top-d.Bottom)
	d.XTicks, d.YTicks = x.ticks(), y.ticks()
	for i, s := range c.Series {
		line := drawnLine{Class: fmt.Sprintf("s%d", i%maxSeries), Name: s.Name}
		var path strings.Builder
		command := "M"
		for _, p := range s.Points {
			if !usable(p) {
				command = "M" // a gap
				continue
			}
			at := Point{x.at(p.X), y.at(p.Y)}
			fmt.Fprintf(&path, "%s%.1f %.1f", command, at.X, at.Y)
			command = "L"
			if c.Points {
				line.Dots = append(line.Dots, at)
			}
		}
		line.Path = path.String()
		d.Lines = append(d.Lines, line)
	}
	d.Table = c.table()
	return d
}

const (
	maxSeries = 12
	// tableRows is how many points of a line the table beside a chart has, evenly chosen.
	tableRows = 20
)

// table has the chart's points, for those who do not see it.
func (c Chart) table() Table {
	t := Table{Title: c.Title, Head: []string{"line", c.X.Label, c.Y.Label}}
	for _, s := range c.Series {
		n := len(s.Points)
		rows := min(n, tableRows)
		for k := range rows {
			p := s.Points[k]
			if n > rows {
				p = s.Points[k*(n-1)/(rows-1)]
			}
			t.Rows = append(t.Rows, []string{s.Name, FormatValue(p.X, c.X.Unit), FormatValue(p.Y, c.Y.Unit)})
		}
	}
	return t
}

// Bars is a chart of one bar for each item.
type Bars struct {
	Title, Description string
	// Unit is one of Figure's units.
	Unit  string
	Items []Bar
}

// Bar is a bar.
type Bar struct {
	Name  string
	Value float64
}

// drawnBars are bars as the template draws them.
type drawnBars struct {
	ID            string
	Bars          Bars
	Width, Height int
	Rows          []drawnBar
}

type drawnBar struct {
	Name, Value                string
	Y, TextY, Width, ValueX, X float64
}

func (b Bars) draw(id string) drawnBars {
	const row, left, room, gap = 24, 190, 420, 6
	d := drawnBars{ID: id, Bars: b, Width: chartWidth, Height: row*len(b.Items) + gap}
	longest := 0.0
	for _, item := range b.Items {
		longest = max(longest, item.Value)
	}
	for i, item := range b.Items {
		width := 0.0
		if longest > 0 {
			width = max(item.Value, 0) / longest * room
		}
		y := float64(i*row + gap)
		d.Rows = append(d.Rows, drawnBar{Name: item.Name, Value: FormatValue(item.Value, b.Unit), X: left, Y: y, TextY: y + row - gap - 4, Width: width, ValueX: left + width + gap})
	}
	return d
}
