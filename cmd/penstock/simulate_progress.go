package main

import (
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/penstock/penstock/bench/report"
)

// simulateProgress tells how many runs have ended: on a terminal in one line that is written over, else in a line every few seconds.
type simulateProgress struct {
	w        io.Writer
	terminal bool
	began    time.Time

	mu    sync.Mutex
	next  time.Time // when the next line is due
	open  bool      // a line on the terminal has no end yet
	ended bool
}

const progressEvery = 10 * time.Second

func newSimulateProgress(w io.Writer) *simulateProgress {
	now := time.Now()
	return &simulateProgress{w: w, terminal: newProgressLine(w).terminal, began: now, next: now.Add(progressEvery)}
}

// runs tells how many runs of all have ended.
func (p *simulateProgress) runs(done, all int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if p.ended || !p.terminal && done > 0 && done < all && now.Before(p.next) {
		return
	}
	p.next = now.Add(progressEvery)
	line := fmt.Sprintf("%d of %s done in %s", done, count(all, "run"), p.passed())
	if p.terminal {
		fmt.Fprintf(p.w, "\r\x1b[K%s", line)
		p.open = true
		return
	}
	fmt.Fprintln(p.w, line)
}

// tried tells what a plan has tried.
func (p *simulateProgress) tried(what string, goodput float64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.ended {
		fmt.Fprintf(p.w, "tried %s: goodput %s, %s passed\n", what, report.FormatValue(goodput, "share"), p.passed())
	}
}

func (p *simulateProgress) passed() string {
	return time.Since(p.began).Round(100 * time.Millisecond).String()
}

// end lets nothing be written any more.
func (p *simulateProgress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open {
		fmt.Fprintln(p.w)
	}
	p.ended, p.open = true, false
}
