package main

import (
	"fmt"
	"io"
	"os"
	"time"

	"github.com/penstock/penstock/bench/loadgen"
	"github.com/penstock/penstock/bench/report"
)

// progressLine tells how far runs are: on a terminal in one line that is written over every second, else in a line every ten seconds.
type progressLine struct {
	w        io.Writer
	terminal bool
	label    string
	last     loadgen.Progress
}

func newProgressLine(w io.Writer) *progressLine {
	p := &progressLine{w: w}
	if f, ok := w.(*os.File); ok {
		info, err := f.Stat()
		p.terminal = err == nil && info.Mode()&os.ModeCharDevice != 0
	}
	return p
}

// every is how often there is something to tell.
func (p *progressLine) every() time.Duration {
	if p.terminal {
		return time.Second
	}
	return 10 * time.Second
}

// begin begins a run.
func (p *progressLine) begin(label string) { p.label, p.last = label, loadgen.Progress{} }

// show writes where a run is.
func (p *progressLine) show(now loadgen.Progress) {
	rate := 0.0
	if passed := now.Elapsed - p.last.Elapsed; passed > 0 {
		rate = float64(now.Sent-p.last.Sent) / passed.Seconds()
	}
	p.last = now
	line := fmt.Sprintf("%s: %.0f s, sent %d of %d, done %d, in flight %d, errors %d, dropped %d, %.1f/s, TTFT p50 %s p99 %s",
		p.label, now.Elapsed.Seconds(), now.Sent, now.Planned, now.Done, now.Sent-now.Done, now.Errors, now.Dropped, rate,
		report.FormatValue(now.TTFTP50, "s"), report.FormatValue(now.TTFTP99, "s"))
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
		return
	}
	fmt.Fprintln(p.w, line)
}

// end ends a run.
func (p *progressLine) end() {
	if p.terminal {
		fmt.Fprintln(p.w)
	}
}
